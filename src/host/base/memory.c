/* Memory as the kernel accounts for it: /proc and the control groups' files. */
#include "memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---- this process ---- */

/* The number that stands behind key in a file of lines "KEY NUMBER ..."; fallback where there is none. */
static uint64_t line_of(const char *path, const char *key, uint64_t fallback)
{
    FILE *file = fopen(path, "re");
    char line[512];
    uint64_t value = fallback;
    size_t length = strlen(key);
    while (file && fgets(line, sizeof line, file)) {
        char *end;
        if (strncmp(line, key, length) != 0) continue;
        unsigned long long number = strtoull(line + length, &end, 10);
        if (end == line + length) continue; /* "max", or another word */
        value = number;
        break;
    }
    if (file) fclose(file);
    return value;
}

int64_t memory_resident(void)
{
    return (int64_t)line_of("/proc/self/status", "VmRSS:", 0) * 1024;
}

int64_t memory_peak(void)
{
    return (int64_t)line_of("/proc/self/status", "VmHWM:", 0) * 1024;
}

void memory_reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (!file) return;
    fputs("5", file); /* "reset the peak resident set size" */
    fclose(file);
}

/* Without this glibc raises the threshold to the largest block freed so far (up to 32 MiB), and keeps what lies below. */
void memory_give_back(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
#endif
}

/* ---- what is left ---- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void narrow(struct memory_room *room, uint64_t bytes, const char *by, const char *where)
{
    if (bytes >= room->bytes) return;
    room->bytes = bytes;
    snprintf(room->by, sizeof room->by, "%s%s%s%s", by, *where ? " (" : "", where, *where ? ")" : "");
}

/* The group's limit less what is used; pages of files that it could drop count as free. A file that is missing or says
 * "max" sets no limit. */
static void narrow_by_group(struct memory_room *room, const char *folder, const char *limit_file, const char *used_file,
                            const char *droppable, uint64_t swap)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, limit_file);
    uint64_t limit = line_of(path, "", UINT64_MAX);
    if (limit >= INT64_MAX / 2) return; /* version 1 writes a huge number for "none" */
    snprintf(path, sizeof path, "%s/%s", folder, used_file);
    uint64_t used = line_of(path, "", 0);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    used = less(used, line_of(path, droppable, 0));
    narrow(room, less(limit, used) + swap, "the limit of a control group", folder);
}

/* Swap that a group of version 2 may still use. */
static uint64_t group_swap(const char *folder, uint64_t machine)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/memory.swap.max", folder);
    uint64_t limit = line_of(path, "", UINT64_MAX);
    snprintf(path, sizeof path, "%s/memory.swap.current", folder);
    uint64_t left = limit == UINT64_MAX ? machine : less(limit, line_of(path, "", 0));
    return left < machine ? left : machine;
}

/* A group's folder and all above it, up to where the groups are mounted. */
static void narrow_by_groups(struct memory_room *room, const char *mount, char *group, int version, uint64_t swap)
{
    char folder[896];
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
        if (version == 2)
            narrow_by_group(room, folder, "memory.max", "memory.current", "inactive_file", group_swap(folder, swap));
        else
            narrow_by_group(room, folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                            swap);
        char *slash = strrchr(group, '/');
        if (!slash || slash == group) {
            if (strcmp(group, "/") == 0 || !slash) return;
            slash[1] = 0; /* the mount itself comes last: inside a container it is the container's group */
            continue;
        }
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "0::/a/b" (version 2), "5:memory:/a/b" (version 1). */
static void read_groups(struct memory_room *room, const char *root, uint64_t swap)
{
    char path[512], mount[512], line[512];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *group = kind ? strchr(kind + 1, ':') : NULL;
        if (!group) continue;
        *kind++ = 0;
        *group++ = 0;
        int version = strcmp(line, "0") == 0 && !*kind ? 2 : strcmp(kind, "memory") == 0 ? 1 : 0;
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, version == 1 ? "/memory" : "");
        if (version) narrow_by_groups(room, mount, group, version, swap);
    }
    if (file) fclose(file);
}

static void read_limits(struct memory_room *room)
{
    struct rlimit limit;
    uint64_t used = line_of("/proc/self/status", "VmSize:", 0) * 1024;
    uint64_t data = line_of("/proc/self/status", "VmData:", 0) * 1024;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        narrow(room, less(limit.rlim_cur, used), "the limit of address space", "ulimit -v");
    if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        narrow(room, less(limit.rlim_cur, data), "the limit of data", "ulimit -d");
}

void memory_room(struct memory_room *room, const char *root)
{
    char path[512];
    *room = (struct memory_room){.bytes = UINT64_MAX};
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    uint64_t free_kib = line_of(path, "MemAvailable:", UINT64_MAX), swap = line_of(path, "SwapFree:", 0) * 1024;
    if (free_kib < INT64_MAX / 1024)
        narrow(room, free_kib * 1024 + swap, "what else runs on this machine", swap ? "free swap included" : "");
    read_groups(room, root, swap);
    if (!*root) read_limits(room);
}

hff_status memory_fits(uint64_t bytes, const char *what, const char *advice)
{
    struct memory_room room;
    const double mib = 1 << 20;
    memory_room(&room, "");
    if (bytes <= room.bytes) return HFF_OK;
    return fail(HFF_E_MEMORY, "%s needs %.0f MiB, but only %.0f MiB are left by %s; %s", what, (double)bytes / mib,
                (double)room.bytes / mib, room.by, advice);
}
