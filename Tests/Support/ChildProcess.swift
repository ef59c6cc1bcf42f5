import Glibc

// Swift's Glibc lacks what glibc declares only for _GNU_SOURCE.
@_silgen_name("posix_spawn_file_actions_addclosefrom_np")
private func addCloseFrom(_ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, _ first: Int32) -> Int32
@_silgen_name("pipe2")
func pipe2(_ ends: UnsafeMutablePointer<Int32>, _ flags: Int32) -> Int32

/// A child process of a test, started by posix_spawn(3).
/// Foundation's `Process` iterates over this process' descriptors to close them in the child, and crashes when other tests open
/// and close theirs meanwhile. A child started here inherits only the standard descriptors and no blocked signals (threads of
/// Swift's pool block them, and a child would inherit that).
/// threads of Swift's pool block them, and a child would inherit that.
public struct ChildProcess: Sendable {
    public let id: Int32

    /// Starts a program found in `PATH`.
    ///
    /// - Parameter input: a descriptor for its standard input; nil: empty input.
    /// - Throws: `WaitedInVain` when it cannot be started.
    public init(_ arguments: [String], input: Int32? = nil) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        _ = addCloseFrom(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var id = pid_t()
        let error = posix_spawnp(&id, arguments[0], &actions, &attributes, &words, environ)
        guard error == 0 else {
            throw WaitedInVain(description: "\(arguments[0]) cannot be started: \(String(cString: strerror(error)))")
        }
        self.id = id
    }

    /// False once it has ended, whether or not it has been waited for.
    public var isRunning: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(id), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info._sifields._sigchld.si_pid == 0
    }

    public func signal(_ number: Int32) { kill(id, number) }

    /// Waits for it to end, which must be imminent.
    ///
    /// - Returns: its exit code; nil when a signal ended it.
    @discardableResult
    public func wait() -> Int32? {
        var status: Int32 = 0
        while waitpid(id, &status, 0) == -1, errno == EINTR {}
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : nil
    }
}
