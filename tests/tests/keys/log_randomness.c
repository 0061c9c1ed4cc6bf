// Preloaded into a program: writes all randomness of 32 bytes that the program asks the system for to the file that SDVR_TEST_RANDOMNESS
// names, opened before the program could confine itself.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int log_file = -1;

__attribute__((constructor)) static void open_log(void) {
    const char *path = getenv("SDVR_TEST_RANDOMNESS");
    if (path) log_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
    ssize_t got = syscall(SYS_getrandom, buffer, length, flags);
    if (got == 32 && log_file >= 0) (void)!write(log_file, buffer, 32);
    return got;
}
