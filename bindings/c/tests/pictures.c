/* Decodes all frames of a camera until it ends, touches every byte that it is shown, and prints what came: "FRAME WIDTHxHEIGHT", or the status and what is said of it.
 * After so many errors in a row, or tenths of a second without a frame, it gives up: files that lie do so for ever. */
#include <sdvr.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 100 };

/* Volatile, so that no reading is left out. */
static volatile unsigned sum;

static void touch(const uint8_t *bytes, size_t len_bytes)
{
    for (size_t at = 0; at < len_bytes; at++) {
        sum += bytes[at];
    }
}

static void show(const sdvr_picture *picture)
{
    sdvr_picture_info info;
    const uint8_t *bytes = NULL, *coded = NULL;
    size_t len_bytes = 0, coded_bytes = 0, of_planes = 0;
    if (sdvr_picture_describe(picture, &info) != SDVR_OK || sdvr_picture_bytes(picture, &bytes, &len_bytes) != SDVR_OK ||
        sdvr_picture_coded(picture, &coded, &coded_bytes) != SDVR_OK) {
        printf("a picture cannot be looked at: %s\n", sdvr_last_error());
        exit(1);
    }
    touch(bytes, len_bytes);
    touch(coded, coded_bytes);
    for (uint32_t index = 0; index < info.planes; index++) {
        sdvr_plane plane;
        if (sdvr_picture_plane(picture, index, &plane) != SDVR_OK) {
            printf("plane %u of %u cannot be looked at: %s\n", index, info.planes, sdvr_last_error());
            exit(1);
        }
        touch(plane.bytes, plane.len_bytes);
        of_planes += plane.len_bytes;
    }
    if (of_planes != len_bytes) {
        printf("planes of %zu bytes are in a picture of %zu\n", of_planes, len_bytes);
        exit(1);
    }
    printf("%llu %ux%u\n", (unsigned long long)info.frame.number, info.width, info.height);
}

int main(int argc, char **argv)
{
    sdvr_camera *camera = NULL;
    sdvr_picture *picture = NULL;
    int most_errors, errors = 0;
    sdvr_status status;
    if (argc != 4) {
        fprintf(stderr, "usage: pictures DIRECTORY CAMERA ERRORS\n");
        return 2;
    }
    most_errors = atoi(argv[3]);
    status = sdvr_camera_open_in(argv[1], argv[2], SDVR_OLDEST, &camera);
    if (status == SDVR_NOT_FOUND) {
        status = sdvr_camera_wait_for_in(argv[1], argv[2], &camera);
    }
    if (status != SDVR_OK || sdvr_picture_new(&picture) != SDVR_OK) {
        printf("%s\n", sdvr_last_error());
        return 1;
    }
    while (errors < most_errors) {
        status = sdvr_camera_next_picture_into(camera, SDVR_EVERY, SDVR_PLANES, TIMEOUT_MS, picture);
        if (status == SDVR_ENDED) {
            break;
        }
        if (status == SDVR_OK) {
            show(picture);
            errors = 0;
        } else {
            if (status != SDVR_TIMEOUT) {
                printf("%s: %s\n", sdvr_status_name((int)status), sdvr_last_error());
            }
            errors++;
        }
        fflush(stdout);
    }
    sdvr_picture_release(picture);
    sdvr_camera_close(camera);
    return 0;
}
