/* Publishes a camera's pictures in gray as a stream of its own, CAMERA/gray, which every program reads as it reads a camera. */
#include "example.h"

int main(int argc, char **argv)
{
    struct arguments arguments = parse_arguments(argc, argv, 1, "CAMERA [--count N]");
    sdvr_camera *camera = NULL;
    sdvr_picture *picture = NULL;
    sdvr_publisher *publisher = NULL;
    sdvr_publish_options options = {0};
    check(sdvr_camera_open(arguments.camera, SDVR_NOW, &camera));
    check(sdvr_picture_new(&picture));
    for (unsigned long long i = 0; i < arguments.count;) {
        sdvr_picture_info info;
        const uint8_t *bytes = NULL;
        size_t len_bytes = 0;
        sdvr_status status = sdvr_camera_next_picture_into(camera, SDVR_EVERY, SDVR_GRAY, SDVR_FOREVER, picture);
        if (status == SDVR_ENDED) {
            break;
        }
        if (status == SDVR_UNDECODABLE) {
            fprintf(stderr, "%s\n", sdvr_last_error());
            continue;
        }
        check(status);
        check(sdvr_picture_describe(picture, &info));
        check(sdvr_picture_bytes(picture, &bytes, &len_bytes));
        /* At the rate of the camera, in the size of the picture. */
        options.format = info.frame.format;
        strcpy(options.format.name, "GREY");
        options.format.width = info.width;
        options.format.height = info.height;
        if (publisher == NULL) {
            char label[2 * SDVR_LABEL_BYTES];
            snprintf(label, sizeof label, "%s/gray", info.frame.label);
            options.source = info.frame.label;
            check(sdvr_publisher_create(label, &options, &publisher));
        }
        check(sdvr_publisher_set_format(publisher, &options.format));
        check(sdvr_publisher_publish_from_picture(publisher, picture, bytes, len_bytes));
        i++;
    }
    sdvr_publisher_close(publisher);
    sdvr_picture_release(picture);
    sdvr_camera_close(camera);
    return 0;
}
