/*
 * Prints where pictures differ from those before, a line for each frame that has such places: `frame NUMBER: X,Y WxH …`.
 *
 * The picture is divided into cells of 16 x 16 pixels. A cell moves when its pixels differ by more than 12 of 255 on average; cells that move and touch at an edge
 * make a box, and boxes of one cell are noise.
 */
#include "example.h"

#include <inttypes.h>
#include <stdbool.h>

enum { CELL_PIXELS = 16, THRESHOLD = 12, LEAST_CELLS = 2 };

struct box {
    uint32_t left, top, right, bottom, cells;
};

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Whether the cell moves: those at the edges have fewer pixels. */
static bool moves(const uint8_t *now, const uint8_t *before, uint32_t width, uint32_t height, uint32_t column, uint32_t row)
{
    uint32_t left = column * CELL_PIXELS, right = lesser(left + CELL_PIXELS, width);
    uint32_t top = row * CELL_PIXELS, bottom = lesser(top + CELL_PIXELS, height);
    uint32_t sum = 0;
    for (uint32_t y = top; y < bottom; y++) {
        for (uint32_t x = left; x < right; x++) {
            size_t at = (size_t)y * width + x;
            sum += (uint32_t)abs((int)now[at] - (int)before[at]);
        }
    }
    return sum > THRESHOLD * (right - left) * (bottom - top);
}

/* Takes all cells that belong together with the one at (column, row) out of `moving`. `stack` has room for all. */
static struct box take_box(bool *moving, uint32_t columns, uint32_t rows, uint32_t column, uint32_t row, uint32_t *stack)
{
    struct box box = {column, row, column, row, 0};
    size_t depth = 0;
    moving[(size_t)row * columns + column] = false;
    stack[depth++] = row * columns + column;
    while (depth > 0) {
        uint32_t at = stack[--depth], x = at % columns, y = at / columns;
        box.left = lesser(box.left, x), box.right = greater(box.right, x);
        box.top = lesser(box.top, y), box.bottom = greater(box.bottom, y);
        box.cells++;
        const uint32_t next[4] = {x > 0 ? at - 1 : at, x + 1 < columns ? at + 1 : at, y > 0 ? at - columns : at,
                                  y + 1 < rows ? at + columns : at};
        for (int i = 0; i < 4; i++) {
            if (moving[next[i]]) {
                moving[next[i]] = false;
                stack[depth++] = next[i];
            }
        }
    }
    return box;
}

static int by_place(const void *a, const void *b)
{
    const struct box *one = a, *other = b;
    if (one->top != other->top) {
        return one->top < other->top ? -1 : 1;
    }
    return one->left < other->left ? -1 : one->left > other->left;
}

/* Prints the boxes in which `now` differs from `before`. */
static void print_motion(uint64_t number, const uint8_t *now, const uint8_t *before, uint32_t width, uint32_t height)
{
    uint32_t columns = (width + CELL_PIXELS - 1) / CELL_PIXELS, rows = (height + CELL_PIXELS - 1) / CELL_PIXELS;
    size_t cells = (size_t)columns * rows, found = 0;
    bool *moving = calloc(cells, sizeof *moving);
    uint32_t *stack = calloc(cells, sizeof *stack);
    struct box *boxes = calloc(cells, sizeof *boxes);
    if (moving == NULL || stack == NULL || boxes == NULL) {
        perror("memory");
        exit(1);
    }
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t column = 0; column < columns; column++) {
            moving[(size_t)row * columns + column] = moves(now, before, width, height, column, row);
        }
    }
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t column = 0; column < columns; column++) {
            if (moving[(size_t)row * columns + column]) {
                struct box box = take_box(moving, columns, rows, column, row, stack);
                if (box.cells >= LEAST_CELLS) {
                    boxes[found++] = box;
                }
            }
        }
    }
    qsort(boxes, found, sizeof *boxes, by_place);
    if (found > 0) {
        printf("frame %" PRIu64 ":", number);
        for (size_t i = 0; i < found; i++) {
            uint32_t x = boxes[i].left * CELL_PIXELS, y = boxes[i].top * CELL_PIXELS;
            printf(" %u,%u %ux%u", x, y, lesser((boxes[i].right + 1) * CELL_PIXELS, width) - x,
                   lesser((boxes[i].bottom + 1) * CELL_PIXELS, height) - y);
        }
        printf("\n");
        fflush(stdout);
    }
    free(moving);
    free(stack);
    free(boxes);
}

int main(int argc, char **argv)
{
    struct arguments arguments = parse_arguments(argc, argv, 1, "CAMERA [--count N]");
    sdvr_camera *camera = NULL;
    /* The newest picture and the one before, which change places. */
    sdvr_picture *picture = NULL, *before = NULL;
    sdvr_picture_info size = {0};
    check(sdvr_camera_open(arguments.camera, SDVR_NOW, &camera));
    check(sdvr_picture_new(&picture));
    check(sdvr_picture_new(&before));
    for (unsigned long long i = 0; i < arguments.count;) {
        sdvr_picture_info info;
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
        if (info.width == size.width && info.height == size.height) {
            const uint8_t *bytes = NULL, *bytes_before = NULL;
            size_t len_bytes = 0;
            check(sdvr_picture_bytes(picture, &bytes, &len_bytes));
            check(sdvr_picture_bytes(before, &bytes_before, &len_bytes));
            print_motion(info.frame.number, bytes, bytes_before, info.width, info.height);
        }
        size = info;
        sdvr_picture *next = before;
        before = picture;
        picture = next;
        i++;
    }
    sdvr_picture_release(picture);
    sdvr_picture_release(before);
    sdvr_camera_close(camera);
    return 0;
}
