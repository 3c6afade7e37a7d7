#define _GNU_SOURCE
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/// Everything here is async-signal-safe, because other threads may have held locks at the fork.
static void become(
    const char *path, char *const arguments[], char *const environment[], int output, int error_output, pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent may have ended before the line above.
    if (getppid() != parent) _exit(127);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int input = open("/dev/null", O_RDONLY);
    if (input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(error_output, 2) < 0) return;
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    execve(path, arguments, environment);
}

int tailrace_start_child(
    const char *path, char *const arguments[], char *const environment[], int output, int error_output) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    // Descriptors 0 to 2 would be overwritten by one another.
    if (output < 3 || error_output < 3 || report[1] < 3) {
        close(report[0]);
        close(report[1]);
        errno = EBADF;
        return -1;
    }
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        become(path, arguments, environment, output, error_output, parent);
        int code = errno;
        ssize_t ignored = write(report[1], &code, sizeof code);
        (void)ignored;
        _exit(127);
    }
    int failure = child < 0 ? errno : 0;
    close(report[1]);
    if (child > 0) {
        int code = 0;
        ssize_t count;
        do count = read(report[0], &code, sizeof code);
        while (count < 0 && errno == EINTR);
        if (count == sizeof code) {
            failure = code;
            while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
        }
    }
    close(report[0]);
    if (failure == 0) return child;
    errno = failure;
    return -1;
}
