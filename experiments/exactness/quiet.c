/* Run delays from /proc/self/task/N/schedstat: nanoseconds on a processor, nanoseconds waited for one, turns. */
#include "quiet.h"

#include <dirent.h>
#include <stdio.h>

static double waited_by(const char *thread)
{
    char path[300];
    unsigned long long ran, waited = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", thread);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%llu %llu", &ran, &waited) != 2) waited = 0;
    fclose(file);
    return 1e-9 * (double)waited;
}

double waited_seconds(void)
{
    double seconds = 0;
    DIR *threads = opendir("/proc/self/task");
    if (!threads) return 0;
    for (const struct dirent *entry; (entry = readdir(threads));)
        if (entry->d_name[0] != '.') seconds += waited_by(entry->d_name);
    closedir(threads);
    return seconds;
}
