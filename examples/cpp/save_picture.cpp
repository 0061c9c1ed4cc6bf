// Writes a camera's newest picture to a file, as a PPM image.
#include "example.hpp"

#include <fstream>

int main(int argc, char** argv) {
    return run_example(argc, argv, 2, "CAMERA FILE.ppm", [](const Arguments& arguments) {
        sdvr::Camera camera = sdvr::Camera::open(arguments.words[0]);
        const auto picture = camera.next_picture(sdvr::Policy::latest, sdvr::Pixels::rgb, std::chrono::seconds(10));
        if (!picture) {
            throw std::runtime_error("no picture came for ten seconds");
        }
        std::ofstream file(arguments.words[1], std::ios::binary);
        file << "P6\n" << picture->width() << ' ' << picture->height() << "\n255\n";
        file.write(reinterpret_cast<const char*>(picture->bytes().data()), static_cast<std::streamsize>(picture->bytes().size()));
        if (!file.flush()) {
            throw std::runtime_error(arguments.words[1] + " cannot be written");
        }
    });
}
