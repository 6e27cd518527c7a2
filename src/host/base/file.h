/* Files: whole reads with limits, writes that appear under their final name only when complete and synced.
 *
 * Every error message names the path. Statuses: HFF_E_IO for the system's refusals (missing, permission, full disk). */
#ifndef HFF_BASE_FILE_H
#define HFF_BASE_FILE_H

#include "arena.h"
#include "status.h"

#include <stdint.h>
#include <stdio.h>

/* The whole file, with a 0 byte behind it, into malloc'ed *data (the caller frees). Longer than limit: HFF_E_FORMAT;
 * changed by somebody meanwhile: HFF_E_IO. */
hff_status file_read(const char *path, size_t limit, unsigned char **data, size_t *size);

/* Writes under "PATH.tmp.PID"; file_commit flushes, syncs, renames to path and syncs the folder; file_abandon
 * removes the temporary file. Every writer ends in exactly one of the two. After an error in file_put only
 * file_abandon may follow. */
struct file_writer {
    char path[4096], temporary[4096];
    FILE *stream;
};
hff_status file_create(struct file_writer *writer, const char *path);
hff_status file_put(struct file_writer *writer, const void *data, size_t size);
hff_status file_commit(struct file_writer *writer);
void file_abandon(struct file_writer *writer);
/* The end of a writer either way: file_commit when status, that of the puts, is HFF_OK, else file_abandon and
 * status. */
hff_status file_finish(struct file_writer *writer, hff_status status);

/* Create, put, commit. */
hff_status file_write(const char *path, const void *data, size_t size);

/* Creates the folder and its missing parents; HFF_OK when it is there already. */
hff_status file_make_folders(const char *path);
/* Removes a file or a folder with everything in it; HFF_OK when there is nothing. */
hff_status file_remove_tree(const char *path);
/* rename, then syncs both folders. */
hff_status file_rename(const char *from, const char *to);
/* Syncs a folder, so that the names in it survive a power cut. */
hff_status file_sync_folder(const char *path);
/* Removes the temporary files ("NAME.tmp.PID") of writers that are gone: killed ones. HFF_OK when there is no such
 * folder. */
hff_status file_remove_leftovers(const char *folder);
int file_exists(const char *path);
int file_is_folder(const char *path);

/* The names in a folder, sorted by bytes, "." and ".." left out; memory from arena. */
hff_status file_list(struct arena *arena, const char *path, char ***names, int *count);

/* "A/B", with B alone when it is absolute. */
char *file_join(struct arena *arena, const char *a, const char *b);
/* "~" and "${NAME}" replaced; an unset variable is HFF_E_CONFIG, named; ${HFF_DATA} falls back to its documented
 * default. */
hff_status file_expand(struct arena *arena, const char *text, char **out);

/* An exclusive lock on PATH (created), held until file_unlock or the end of the process. HFF_E_USAGE when another
 * process holds it; the message names the process id that it wrote there. */
hff_status file_lock(const char *path, int *lock);
void file_unlock(int lock);

#endif
