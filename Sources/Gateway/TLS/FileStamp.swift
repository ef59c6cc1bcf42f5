import Glibc

/// Identifies a version of a file: inode, size and modification time. Two equal stamps mean that it has not changed.
struct FileStamp: Equatable {
    private var inode: UInt
    private var size: Int
    private var seconds: Int
    private var nanoseconds: Int

    /// nil: the file does not exist, or cannot be accessed.
    init?(_ path: String) {
        var status = stat()
        // Follows symbolic links: certificates are often renewed by repointing one.
        guard stat(path, &status) == 0 else { return nil }
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        seconds = Int(status.st_mtim.tv_sec)
        nanoseconds = Int(status.st_mtim.tv_nsec)
    }
}
