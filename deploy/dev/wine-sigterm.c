/*
 * The mongod 7.0.28 of deploy/dev/mongod preloads this library into Wine, so that SIGTERM shuts that
 * server down cleanly, as on Linux.
 *
 * At SIGTERM, Wine ends its program at once. At SIGINT, Wine passes a CTRL-C to the program, at which
 * mongod.exe shuts down cleanly. So the handler that Wine installs for SIGINT is also installed for
 * SIGTERM, and Wine's own handler for SIGTERM is not installed. A process between the caller and Wine
 * could also translate the signal, but SIGKILL and SIGSTOP would hit that process instead of the
 * server.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <string.h>

typedef int (*sigaction_fn)(int, const struct sigaction *, struct sigaction *);

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    static sigaction_fn next;
    if (!next)
        next = (sigaction_fn)dlsym(RTLD_NEXT, "sigaction");

    /* Wine's handlers are those that ask for a siginfo. */
    int by_wine = action && (action->sa_flags & SA_SIGINFO);
    if (number == SIGTERM && by_wine) {
        if (old)
            memset(old, 0, sizeof *old);
        return 0;
    }
    int result = next(number, action, old);
    if (result == 0 && number == SIGINT && by_wine)
        next(SIGTERM, action, NULL);
    return result;
}
