import Glibc

/// By what a file is told from the one that was there before: which it is, how long, and when it was changed.
struct FileStamp: Equatable {
    private var inode: UInt
    private var size: Int
    private var seconds: Int
    private var nanoseconds: Int

    /// nil: it is not there, or may not be looked at.
    init?(_ path: String) {
        var status = stat()
        // Follows links: certificates are often renewed by pointing a link elsewhere.
        guard stat(path, &status) == 0 else { return nil }
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        seconds = Int(status.st_mtim.tv_sec)
        nanoseconds = Int(status.st_mtim.tv_nsec)
    }
}
