// Publishes a camera's pictures in gray as a stream of its own, CAMERA/gray, which every program reads as it reads a camera.
#include "example.hpp"

int main(int argc, char** argv) {
    return run_example(argc, argv, 1, "CAMERA [--count N]", [](const Arguments& arguments) {
        sdvr::Camera camera = sdvr::Camera::open(arguments.words[0]);
        std::optional<sdvr::Publisher> publisher;
        std::uint64_t rest = arguments.count;
        if (rest == 0) {
            return;
        }
        for (const sdvr::Picture& picture : camera.pictures(sdvr::Policy::every, sdvr::Pixels::gray).until_end()) {
            // At the rate of the camera, in the size of the picture.
            const sdvr::Format format = picture.frame().format().with("GREY", picture.width(), picture.height());
            if (!publisher) {
                const std::string label(picture.frame().label());
                publisher.emplace(label + "/gray", format, label);
            }
            publisher->set_format(format);
            publisher->publish_from(picture, picture.bytes().data(), picture.bytes().size());
            if (--rest == 0) {
                break;
            }
        }
    });
}
