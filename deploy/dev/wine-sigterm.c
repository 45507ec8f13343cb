/*
 * Preloaded into Wine by the mongod 7.0.28 of deploy/dev/mongod: SIGTERM shuts that server down cleanly, as it does
 * on Linux.
 *
 * Wine ends its program at once at SIGTERM, and at SIGINT tells it of a CTRL-C, at which mongod.exe shuts down as it
 * should. So the handler that Wine installs for SIGINT is installed for SIGTERM too, and Wine's own for SIGTERM is not.
 * A process between the caller and Wine could translate the signal as well, but SIGKILL and SIGSTOP would hit that
 * process in place of the server.
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

    /* Wine's handlers are the ones that ask for a siginfo. */
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
