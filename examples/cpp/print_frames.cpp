// Prints a line for each frame of a camera, until the camera ends.
#include "example.hpp"

#include <ctime>
#include <iomanip>

static std::chrono::nanoseconds now() {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

int main(int argc, char** argv) {
    return run_example(argc, argv, 1, "CAMERA [--count N]", [](const Arguments& arguments) {
        sdvr::Camera camera = sdvr::Camera::open(arguments.words[0]);
        std::uint64_t rest = arguments.count;
        if (rest == 0) {
            return;
        }
        for (const sdvr::Frame& frame : camera.frames(sdvr::Policy::every).until_end()) {
            const std::chrono::duration<double, std::milli> age = now() - frame.captured();
            std::cout << "frame " << frame.number() << ": " << frame.format().name() << ", " << frame.bytes().size() << " bytes, "
                      << frame.missed() << " missed, " << std::fixed << std::setprecision(1) << age.count() << " ms old" << std::endl;
            if (--rest == 0) {
                break;
            }
        }
    });
}
