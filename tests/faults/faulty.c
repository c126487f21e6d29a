/* A file system that passes everything through to a folder, and fails the calls that a control file names.

   usage: faulty CONTROL FOLDER MOUNTPOINT
   The control file says "KIND FIRST LAST ERRNO": of the calls of that kind since it said so, these fail. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *control, *folder;
static char said[128];
static const char *kinds[] = {"create", "write", "fsync", "rename", "read", "remove", "open"};
enum { KINDS = 7 };
static int64_t *count; /* calls of each kind since the control file said something else; mapped to CONTROL.passed */

static int fault(const char *kind) {
  char now[128] = "", asked[16] = "";
  long first = 0, last = 0;
  int number = 0, which = 0;
  int fd = open(control, O_RDONLY);
  if (fd >= 0) {
    ssize_t size = read(fd, now, sizeof now - 1);
    now[size > 0 ? size : 0] = 0;
    close(fd);
  }
  if (strcmp(now, said)) {
    strcpy(said, now);
    memset(count, 0, KINDS * sizeof *count);
  }
  while (which < KINDS - 1 && strcmp(kinds[which], kind)) which++;
  long passed = ++count[which];
  if (sscanf(now, "%15s %ld %ld %d", asked, &first, &last, &number) != 4 || strcmp(kind, asked))
    return 0;
  return passed >= first && passed <= last ? -number : 0;
}

#define FAIL(kind) do { int bad = fault(kind); if (bad) return bad; } while (0)
#define REAL(path) char real[4096]; snprintf(real, sizeof real, "%s%s", folder, path)
#define DONE(call) return (call) == -1 ? -errno : 0

static void *f_init(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->hard_remove = config->nullpath_ok = 1; /* no hidden names of what is removed while it is open */
  return NULL;
}
static int f_getattr(const char *path, struct stat *out, struct fuse_file_info *fi) {
  if (fi) DONE(fstat(fi->fh, out));
  REAL(path);
  DONE(lstat(real, out));
}
static int f_mkdir(const char *path, mode_t mode) {
  FAIL("create");
  REAL(path);
  DONE(mkdir(real, mode));
}
static int f_unlink(const char *path) { FAIL("remove"); REAL(path); DONE(unlink(real)); }
static int f_rmdir(const char *path) { FAIL("remove"); REAL(path); DONE(rmdir(real)); }
static int f_rename(const char *from, const char *to, unsigned flags) {
  char other[4096];
  FAIL("rename");
  REAL(from);
  snprintf(other, sizeof other, "%s%s", folder, to);
  DONE(renameat2(AT_FDCWD, real, AT_FDCWD, other, flags));
}
static int f_link(const char *from, const char *to) {
  char other[4096];
  FAIL("create");
  REAL(from);
  snprintf(other, sizeof other, "%s%s", folder, to);
  DONE(link(real, other));
}
static int f_symlink(const char *target, const char *path) { REAL(path); DONE(symlink(target, real)); }
static int f_readlink(const char *path, char *out, size_t size) {
  REAL(path);
  ssize_t length = readlink(real, out, size - 1);
  if (length == -1) return -errno;
  out[length] = 0;
  return 0;
}
static int f_chmod(const char *path, mode_t mode, struct fuse_file_info *fi) {
  if (fi) DONE(fchmod(fi->fh, mode));
  REAL(path);
  DONE(chmod(real, mode));
}
static int f_utimens(const char *path, const struct timespec at[2], struct fuse_file_info *fi) {
  if (fi) DONE(futimens(fi->fh, at));
  REAL(path);
  DONE(utimensat(AT_FDCWD, real, at, AT_SYMLINK_NOFOLLOW));
}
static int f_truncate(const char *path, off_t size, struct fuse_file_info *fi) {
  FAIL("write");
  if (fi) DONE(ftruncate(fi->fh, size));
  REAL(path);
  DONE(truncate(real, size));
}
static int opened(const char *path, struct fuse_file_info *fi, mode_t mode) {
  REAL(path);
  int fd = open(real, fi->flags & ~O_APPEND, mode);
  if (fd == -1) return -errno;
  fi->fh = fd;
  return 0;
}
static int f_open(const char *path, struct fuse_file_info *fi) {
  FAIL("open");
  return opened(path, fi, 0);
}
static int f_create(const char *path, mode_t mode, struct fuse_file_info *fi) {
  FAIL("create");
  return opened(path, fi, mode);
}
static int f_read(const char *path, char *out, size_t size, off_t at, struct fuse_file_info *fi) {
  (void)path;
  FAIL("read");
  ssize_t done = pread(fi->fh, out, size, at);
  return done == -1 ? -errno : (int)done;
}
static int f_write(const char *path, const char *data, size_t size, off_t at, struct fuse_file_info *fi) {
  (void)path;
  FAIL("write");
  ssize_t done = pwrite(fi->fh, data, size, at);
  return done == -1 ? -errno : (int)done;
}
static int f_fsync(const char *path, int data_only, struct fuse_file_info *fi) {
  (void)path, (void)data_only, (void)fi;
  FAIL("fsync"); /* no power fails here: nothing is really synced */
  return 0;
}
static int f_release(const char *path, struct fuse_file_info *fi) { (void)path; close(fi->fh); return 0; }
static int f_statfs(const char *path, struct statvfs *out) { REAL(path); DONE(statvfs(real, out)); }
static int f_opendir(const char *path, struct fuse_file_info *fi) {
  REAL(path);
  DIR *list = opendir(real);
  fi->fh = (uintptr_t)list;
  return list ? 0 : -errno;
}
static int f_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t at,
                     struct fuse_file_info *fi, enum fuse_readdir_flags flags) {
  (void)path, (void)at, (void)flags;
  DIR *list = (DIR *)(uintptr_t)fi->fh;
  rewinddir(list);
  for (struct dirent *entry; (entry = readdir(list));) fill(buffer, entry->d_name, NULL, 0, 0);
  return 0;
}
static int f_releasedir(const char *path, struct fuse_file_info *fi) {
  (void)path;
  closedir((DIR *)(uintptr_t)fi->fh);
  return 0;
}

static const struct fuse_operations operations = {
    .init = f_init, .getattr = f_getattr, .mkdir = f_mkdir, .unlink = f_unlink, .rmdir = f_rmdir, .rename = f_rename,
    .link = f_link, .symlink = f_symlink, .readlink = f_readlink, .chmod = f_chmod, .utimens = f_utimens,
    .truncate = f_truncate, .open = f_open, .create = f_create, .read = f_read, .write = f_write,
    .fsync = f_fsync, .fsyncdir = f_fsync, .release = f_release, .statfs = f_statfs, .opendir = f_opendir, .readdir = f_readdir,
    .releasedir = f_releasedir,
};

int main(int number, char **words) {
  char beside[4096];
  if (number != 4) return 2;
  control = words[1], folder = words[2];
  snprintf(beside, sizeof beside, "%s.passed", control);
  int told = open(beside, O_RDWR | O_CREAT, 0644);
  if (told < 0 || ftruncate(told, KINDS * sizeof *count)) return 3;
  count = mmap(0, KINDS * sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, told, 0);
  if (count == MAP_FAILED) return 3;
  char *arguments[] = {words[0], "-f", "-s", "-o", "subtype=faulty,default_permissions", words[3], NULL};
  return fuse_main(6, arguments, &operations, NULL);
}
