/* Prints a line for each frame of a camera, until the camera ends. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <inttypes.h>
#include <time.h>

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    struct arguments arguments = parse_arguments(argc, argv, 1, "CAMERA [--count N]");
    sdvr_camera *camera = NULL;
    sdvr_frame *frame = NULL;
    check(sdvr_camera_open(arguments.camera, SDVR_NOW, &camera));
    /* One frame's memory, used again for each. */
    check(sdvr_frame_new(&frame));
    for (unsigned long long i = 0; i < arguments.count; i++) {
        sdvr_frame_info info;
        sdvr_status status = sdvr_camera_next_into(camera, SDVR_EVERY, SDVR_FOREVER, frame);
        if (status == SDVR_ENDED) {
            break;
        }
        check(status);
        check(sdvr_frame_describe(frame, &info));
        printf("frame %" PRIu64 ": %s, %zu bytes, %" PRIu64 " missed, %.1f ms old\n", info.number, info.format.name,
               info.len_bytes, info.missed, (double)(now_ns() - info.captured_ns) / 1e6);
        fflush(stdout);
    }
    sdvr_frame_release(frame);
    sdvr_camera_close(camera);
    return 0;
}
