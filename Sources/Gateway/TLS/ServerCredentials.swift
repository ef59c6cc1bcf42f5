public import Logging
import NIOSSL
import Synchronization

/// The certificate and key that new connections get, read again when the files change.
///
/// A connection keeps what it began with. If the new files cannot be loaded, the current certificate stays in use. Called from any thread.
public final class ServerCredentials: Sendable {
    private struct State {
        var context: NIOSSLContext
        /// Of the files when they were read last, well or not.
        var read: [FileStamp?]
        /// Of the files at the last look.
        var seen: [FileStamp?]
    }

    private let settings: TLSSettings
    private let logger: Logger
    private let state: Mutex<State>

    /// How often `watch` looks at the files.
    private static let interval = Duration.seconds(2)

    /// Reads the files.
    ///
    /// - Throws: `GatewayError`, which names the file and what to do.
    public init(_ settings: TLSSettings, logger: Logger) throws(GatewayError) {
        self.settings = settings
        self.logger = logger
        let stamps = settings.files.map(FileStamp.init)
        state = Mutex(State(context: try settings.context(), read: stamps, seen: stamps))
    }

    var context: NIOSSLContext { state.withLock { $0.context } }

    /// Looks at the files until the task is cancelled.
    public func watch() async {
        while (try? await Task.sleep(for: Self.interval)) != nil { look() }
    }

    /// Reads files that have changed and have been left alone since the last look: certificate and key are written one
    /// after the other, and do not fit each other in between.
    func look() {
        let stamps = settings.files.map(FileStamp.init)
        let isSettled = state.withLock { state in
            defer { state.seen = stamps }
            return stamps != state.read && stamps == state.seen
        }
        if isSettled { reload() }
    }

    /// Reads the files now, as SIGHUP asks for.
    ///
    /// - Returns: whether new connections get what the files say; if not, the log says why.
    @discardableResult
    public func reload() -> Bool {
        let stamps = settings.files.map(FileStamp.init)
        do throws(GatewayError) {
            let context = try settings.context()
            state.withLock { state in
                state.context = context
                state.read = stamps
            }
            logger.notice("the certificate was read again", metadata: ["file": "\(settings.certificateFile)"])
            return true
        } catch {
            state.withLock { $0.read = stamps }
            logger.error("the certificate stays the old one", metadata: ["error": "\(error)"])
            return false
        }
    }
}
