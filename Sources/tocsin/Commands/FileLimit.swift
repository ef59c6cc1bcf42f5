import Glibc

/// Each connection is an open file, so the soft limit (often 1024) is raised to the hard limit.
enum FileLimit {
    static var current: (soft: UInt, hard: UInt) {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return (UInt(limit.rlim_cur), UInt(limit.rlim_max))
    }

    static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
