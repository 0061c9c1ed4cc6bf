/* Writes a camera's newest picture to a file, as a PPM image. */
#include "example.h"

int main(int argc, char **argv)
{
    struct arguments arguments = parse_arguments(argc, argv, 2, "CAMERA FILE.ppm");
    const char *path = argv[argc - 1];
    sdvr_camera *camera = NULL;
    sdvr_picture *picture = NULL;
    sdvr_picture_info info;
    const uint8_t *bytes = NULL;
    size_t len_bytes = 0;
    check(sdvr_camera_open(arguments.camera, SDVR_NOW, &camera));
    check(sdvr_camera_next_picture(camera, SDVR_LATEST, SDVR_RGB, 10000, &picture));
    check(sdvr_picture_describe(picture, &info));
    check(sdvr_picture_bytes(picture, &bytes, &len_bytes));

    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    fprintf(file, "P6\n%u %u\n255\n", info.width, info.height);
    if (fwrite(bytes, 1, len_bytes, file) != len_bytes || fclose(file) != 0) {
        perror(path);
        return 1;
    }
    sdvr_picture_release(picture);
    sdvr_camera_close(camera);
    return 0;
}
