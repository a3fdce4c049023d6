/* What support/endpoint.py and support/bind.py check, in short: a port is a
 * port, nobody beyond this machine is let in, no file and no server is robbed
 * of its path. Hosts that are names are left to libzmq. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common.h"

static inline void refuse(const char *endpoint, const char *why)
{
    fprintf(stderr, "%s %s.\n", endpoint, why);
    exit(2);
}

static inline const char *ipc_path(const char *endpoint)
{
    bool named = strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6];
    return named && !strchr("*@", endpoint[6]) ? endpoint + 6 : NULL;
}

static inline void check_form(const char *endpoint, bool to_bind)
{
    if (strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6])
        return;
    if (strncmp(endpoint, "tcp://", 6) != 0)
        refuse(endpoint, "is no endpoint: say tcp://HOST:PORT or ipc://PATH");
    const char *port = strrchr(endpoint, ':') + 1;
    size_t digits = strspn(port, "0123456789");
    unsigned long value = strtoul(port, NULL, 10);
    bool any = to_bind && strcmp(port, "*") == 0;
    if (!any && (port[digits] || !digits || value - 1 >= 65535))
        refuse(endpoint, "does not end in a port: say one from 1 to 65535");
}

static inline void check_exposure(const char *endpoint)
{
    static const char *const ours[] = {"ipc://", "tcp://localhost:",
                                       "tcp://127.", "tcp://[::1]:"};
    for (size_t each = 0; each < sizeof ours / sizeof *ours; each++)
        if (strncmp(endpoint, ours[each], strlen(ours[each])) == 0)
            return;
    refuse(endpoint, "can be reached from other machines: bind to "
                     "tcp://127.0.0.1:5555, or say --insecure");
}

/* libzmq deletes whatever has the name of an ipc endpoint, and binds. */
static inline void check_taken(const char *endpoint)
{
    const char *path = ipc_path(endpoint);
    struct stat found;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof at.sun_path ||
        stat(path, &found) == -1)
        return;
    errno = EEXIST;
    if (!S_ISSOCK(found.st_mode))
        die("bind");
    memcpy(at.sun_path, path, strlen(path));
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (probe == -1)
        die("bind");
    bool dead = connect(probe, (struct sockaddr *)&at, sizeof at) == -1 &&
                errno == ECONNREFUSED;
    close(probe);
    errno = EADDRINUSE;
    if (!dead)
        die("bind");
}

static inline void set_family(void *socket, const char *endpoint)
{
    int ipv6 = strchr(endpoint, '[') != NULL;
    zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
}
