/* What the examples have in common: their command line, and how they end when something goes wrong. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <sdvr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the user wants. */
struct arguments {
    const char *camera;
    /* How many frames are wanted; without --count, more than ever come. */
    unsigned long long count;
};

/* Reads `CAMERA [more] [--count N]`. With --help or less it says how the program is called, and ends. */
static inline struct arguments parse_arguments(int argc, char **argv, int words, const char *usage)
{
    struct arguments arguments = {NULL, (unsigned long long)-1};
    int seen = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--count") == 0 && i + 1 < argc) {
            char *end = NULL;
            arguments.count = strtoull(argv[++i], &end, 10);
            if (*end != '\0') {
                seen = -1;
                break;
            }
        } else if (argv[i][0] == '-') {
            seen = -1;
            break;
        } else {
            if (seen == 0) {
                arguments.camera = argv[i];
            }
            seen++;
        }
    }
    if (seen != words) {
        fprintf(stderr, "usage: %s %s\n", argv[0], usage);
        exit(2);
    }
    return arguments;
}

/* Ends the program unless the call went well. */
static inline void check(sdvr_status status)
{
    if (status != SDVR_OK) {
        fprintf(stderr, "%s: %s\n", sdvr_status_name((int)status), sdvr_last_error());
        exit(1);
    }
}

#endif
