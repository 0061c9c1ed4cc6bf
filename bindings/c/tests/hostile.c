/* Calls everything in ways it must not be called. Each call is refused, says why, and leaves all else as it was. The camera that is named gives frames. */
#define _POSIX_C_SOURCE 200809L
#include <sdvr.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failures = 0;

static void expect_at(int line, const char *call, sdvr_status status, sdvr_status expected)
{
    if (status != expected) {
        printf("line %d: %s gives %s (%s), and not %s\n", line, call, sdvr_status_name((int)status), sdvr_last_error(),
               sdvr_status_name((int)expected));
        failures++;
    }
    if (expected != SDVR_OK && strlen(sdvr_last_error()) == 0) {
        printf("line %d: %s does not say why\n", line, call);
        failures++;
    }
}

#define EXPECT(expected, call) expect_at(__LINE__, #call, (call), (expected))

static const char *name;
static sdvr_camera *camera;
static sdvr_frame *frame;
static sdvr_picture *picture;
static sdvr_publisher *publisher;
static sdvr_group *group;
static sdvr_watch *watch;
static sdvr_camera_list *list;

static void null_is_refused(void)
{
    sdvr_camera *other = NULL;
    sdvr_publish_options options = {0};
    const uint8_t *bytes = NULL;
    size_t length = 0;
    sdvr_change change;
    sdvr_camera_info camera_info;
    uint32_t member = 0;
    uint64_t number = 0;
    sdvr_frame *out_frame = NULL;
    strcpy(options.format.name, "GREY");

    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_open(NULL, SDVR_NOW, &other));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_open(name, SDVR_NOW, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_open_in(NULL, name, SDVR_NOW, &other));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_open_in("/", NULL, SDVR_NOW, &other));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_open_in("/", name, SDVR_NOW, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_wait_for(NULL, &other));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_wait_for(name, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_wait_for_in(NULL, name, &other));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_wait_for_in("/", name, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next(NULL, SDVR_EVERY, 0, &out_frame));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next(camera, SDVR_EVERY, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next_into(NULL, SDVR_EVERY, 0, frame));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next_into(camera, SDVR_EVERY, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next_picture(NULL, SDVR_EVERY, SDVR_GRAY, 0, &picture));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next_picture(camera, SDVR_EVERY, SDVR_GRAY, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_next_picture_into(camera, SDVR_EVERY, SDVR_GRAY, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_state(camera, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_describe(camera, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_extradata(camera, NULL, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_missed_at_end(camera, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_has_gone(camera, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_descriptor(camera, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_frame_new(NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_frame_describe(frame, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_frame_bytes(frame, NULL, &length));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_frame_bytes(frame, &bytes, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_frame_decode(frame, SDVR_GRAY, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_picture_new(NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_picture_describe(picture, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_picture_bytes(picture, NULL, &length));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_picture_plane(picture, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_picture_coded(picture, &bytes, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_list_new(NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_list_new_in(NULL, &list));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_list_count(list, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_list_at(list, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_watch_open(NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_watch_open_in(NULL, &watch));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_watch_next(watch, 0, NULL, &camera_info));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_watch_next(watch, 0, &change, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_for_each_camera(NULL, NULL, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_group_new(NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_group_add(group, NULL, &member));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_group_add(group, camera, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_group_next(group, SDVR_EVERY, 0, NULL, &out_frame));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_group_next(group, SDVR_EVERY, 0, &member, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_group_sync(group, 0, 0, NULL, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_create(NULL, &options, &publisher));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_create("x", NULL, &publisher));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_create("x", &options, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_publish(publisher, NULL, 1, 0, 0, &number));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_publish(publisher, (const uint8_t *)"x", 1, 0, 0, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_set_format(publisher, NULL));
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_publisher_publish_from(publisher, NULL, (const uint8_t *)"x", 1));

    /* Nothing is given back without complaint. */
    EXPECT(SDVR_OK, sdvr_camera_close(NULL));
    EXPECT(SDVR_OK, sdvr_frame_release(NULL));
    EXPECT(SDVR_OK, sdvr_picture_release(NULL));
    EXPECT(SDVR_OK, sdvr_camera_list_release(NULL));
    EXPECT(SDVR_OK, sdvr_watch_close(NULL));
    EXPECT(SDVR_OK, sdvr_group_close(NULL));
    EXPECT(SDVR_OK, sdvr_publisher_close(NULL));
    EXPECT(SDVR_OK, sdvr_each_stop(NULL));
}

static void nonsense_is_refused(void)
{
    sdvr_camera *other = NULL;
    sdvr_plane plane;
    sdvr_camera_info info;
    sdvr_publisher *refused = NULL;
    sdvr_publish_options options = {0};
    uint64_t number = 0;

    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_camera_open(name, 2, &other));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_camera_open("\xff\xfe", SDVR_NOW, &other));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_camera_next_into(camera, 3, 0, frame));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_camera_next_picture_into(camera, SDVR_EVERY, UINT32_MAX, 0, picture));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_picture_plane(picture, UINT32_MAX, &plane));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_camera_list_at(list, SIZE_MAX, &info));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_group_remove(group, 7, &other));
    EXPECT(SDVR_NOT_FOUND, sdvr_camera_open("nobody", SDVR_NOW, &other));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_publish(publisher, NULL, 0, 0, 0, &number));
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_publish(publisher, (const uint8_t *)"x", SIZE_MAX, 0, 0, &number));

    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_create("x", &options, &refused));
    memset(options.format.name, 'x', sizeof options.format.name);
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_create("x", &options, &refused));
    memcpy(options.format.name, "GREY", 5);
    options.kind = 3;
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_create("x", &options, &refused));
    options.kind = SDVR_VIDEO;
    options.format.rate_numerator = 5;
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_create("x", &options, &refused));
    options.format.rate_numerator = 0;
    EXPECT(SDVR_INVALID_ARGUMENT, sdvr_publisher_create("../x", &options, &refused));

    if (strcmp(sdvr_status_name(-1), "unknown") != 0 || strcmp(sdvr_status_name(1000), "unknown") != 0) {
        printf("a status has the name of another\n");
        failures++;
    }
}

static void small_memory_is_not_overrun(void)
{
    char engine[4] = {'a', 'b', 'c', 'd'};
    size_t length = 0;
    sdvr_set_part part = {0};
    EXPECT(SDVR_TOO_SMALL, sdvr_camera_engine(camera, engine, 1, &length));
    if (length < 2 || memcmp(engine, "abcd", 4) != 0) {
        printf("%zu bytes are needed, and some were written\n", length);
        failures++;
    }
    EXPECT(SDVR_NULL_ARGUMENT, sdvr_camera_engine(camera, NULL, 1000, &length));
    EXPECT(SDVR_TOO_SMALL, sdvr_group_sync(group, 0, 0, &part, 0, &length));
    if (length != 1) {
        printf("the group has %zu members\n", length);
        failures++;
    }
}

static void handles_are_good_once(void)
{
    sdvr_camera *closed = NULL;
    sdvr_frame *released = NULL, *other = NULL;
    sdvr_frame_info info;
    uint32_t member = 0;
    sdvr_state state;
    const uint8_t *bytes = NULL;
    size_t length = 0;

    EXPECT(SDVR_OK, sdvr_camera_open(name, SDVR_NOW, &closed));
    EXPECT(SDVR_OK, sdvr_camera_next(closed, SDVR_EVERY, 10000, &released));
    EXPECT(SDVR_OK, sdvr_camera_close(closed));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_camera_close(closed));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_camera_state(closed, &state));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_camera_next(closed, SDVR_EVERY, 0, &other));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_group_add(group, closed, &member));

    /* A camera that is closed leaves its frames. */
    EXPECT(SDVR_OK, sdvr_frame_describe(released, &info));
    EXPECT(SDVR_OK, sdvr_frame_release(released));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_frame_release(released));
    EXPECT(SDVR_OK, sdvr_frame_new(&other));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_frame_describe(released, &info));
    EXPECT(SDVR_EMPTY, sdvr_frame_describe(other, &info));
    EXPECT(SDVR_EMPTY, sdvr_frame_bytes(other, &bytes, &length));
    EXPECT(SDVR_OK, sdvr_frame_release(other));

    /* Of another kind, or of none. */
    EXPECT(SDVR_INVALID_HANDLE, sdvr_frame_release((sdvr_frame *)(void *)camera));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_camera_close((sdvr_camera *)(void *)&info));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_camera_close((sdvr_camera *)(uintptr_t)-1));
}

static void *wait_in_vain(void *waiting)
{
    sdvr_frame *none = NULL;
    sdvr_status status = SDVR_BUSY;
    /* Whoever meets the other thread, which then was first, comes again. */
    while (status == SDVR_BUSY) {
        /* Long enough for the other thread to come, however busy the machine. */
        status = sdvr_camera_next(waiting, SDVR_EVERY, 3000, &none);
    }
    return (void *)(uintptr_t)status;
}

static void a_second_thread_is_refused(void)
{
    sdvr_camera *waiting = NULL;
    sdvr_frame *none = NULL;
    pthread_t thread;
    void *status = NULL;
    sdvr_status seen = SDVR_TIMEOUT;
    EXPECT(SDVR_OK, sdvr_camera_wait_for("nobody", &waiting));
    if (pthread_create(&thread, NULL, wait_in_vain, waiting) != 0) {
        printf("no thread\n");
        exit(1);
    }
    while (seen == SDVR_TIMEOUT) {
        struct timespec moment = {0, 1000000};
        seen = sdvr_camera_next(waiting, SDVR_EVERY, 0, &none);
        nanosleep(&moment, NULL);
    }
    EXPECT(SDVR_BUSY, seen);
    EXPECT(SDVR_BUSY, sdvr_camera_close(waiting));
    pthread_join(thread, &status);
    if ((uintptr_t)status != SDVR_TIMEOUT) {
        printf("the first thread got %s\n", sdvr_status_name((int)(uintptr_t)status));
        failures++;
    }
    EXPECT(SDVR_OK, sdvr_camera_close(waiting));
}

int main(int argc, char **argv)
{
    sdvr_publish_options options = {0};
    sdvr_camera *member_camera = NULL;
    uint32_t member = 0;
    if (argc != 2) {
        return 2;
    }
    name = argv[1];
    memcpy(options.format.name, "GREY", 5);
    options.format.width = options.format.height = 8;
    EXPECT(SDVR_OK, sdvr_camera_open(name, SDVR_NOW, &camera));
    EXPECT(SDVR_OK, sdvr_camera_next(camera, SDVR_EVERY, 10000, &frame));
    EXPECT(SDVR_OK, sdvr_camera_next_picture(camera, SDVR_EVERY, SDVR_GRAY, 10000, &picture));
    EXPECT(SDVR_OK, sdvr_publisher_create("hostile", &options, &publisher));
    EXPECT(SDVR_OK, sdvr_group_new(&group));
    EXPECT(SDVR_OK, sdvr_camera_open(name, SDVR_NOW, &member_camera));
    EXPECT(SDVR_OK, sdvr_group_add(group, member_camera, &member));
    EXPECT(SDVR_INVALID_HANDLE, sdvr_camera_close(member_camera));
    EXPECT(SDVR_OK, sdvr_watch_open(&watch));
    EXPECT(SDVR_OK, sdvr_camera_list_new(&list));

    small_memory_is_not_overrun();
    null_is_refused();
    nonsense_is_refused();
    handles_are_good_once();
    a_second_thread_is_refused();

    /* After all that everything is as it was. */
    EXPECT(SDVR_OK, sdvr_camera_next_into(camera, SDVR_EVERY, 10000, frame));
    EXPECT(SDVR_OK, sdvr_camera_next_picture_into(camera, SDVR_EVERY, SDVR_GRAY, 10000, picture));
    EXPECT(SDVR_OK, sdvr_publisher_close(publisher));
    EXPECT(SDVR_OK, sdvr_group_close(group));
    EXPECT(SDVR_OK, sdvr_watch_close(watch));
    EXPECT(SDVR_OK, sdvr_camera_list_release(list));
    EXPECT(SDVR_OK, sdvr_picture_release(picture));
    EXPECT(SDVR_OK, sdvr_frame_release(frame));
    EXPECT(SDVR_OK, sdvr_camera_close(camera));
    printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
