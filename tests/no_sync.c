/* Preloaded, it stands before libc: what tests write is never waited for on its way to the disk. Other processes see it
   at once either way, also after a kill; only a power cut tells the difference, and no test cuts the power. */
#include <fcntl.h>

static int is_open(int file)
{
    return fcntl(file, F_GETFD) < 0 ? -1 : 0;
}

int fsync(int file)
{
    return is_open(file);
}

int fdatasync(int file)
{
    return is_open(file);
}

int syncfs(int file)
{
    return is_open(file);
}
