public import Logging
import NIOSSL
import Synchronization

/// The certificate and key for new connections, reloaded when the files change.
///
/// A connection keeps those it began with. If the new files cannot be loaded, the current certificate stays in use. Safe
/// from any thread.
public final class ServerCredentials: Sendable {
    private struct State {
        var context: NIOSSLContext
        /// Stamps of the files at the last load, successful or not.
        var read: [FileStamp?]
        /// Stamps of the files at the last check.
        var seen: [FileStamp?]
    }

    private let settings: TLSSettings
    private let logger: Logger
    private let state: Mutex<State>

    /// How often `watch` checks the files.
    private static let interval = Duration.seconds(2)

    /// Loads the files.
    ///
    /// - Throws: `GatewayError`, which names the file and the remedy.
    public init(_ settings: TLSSettings, logger: Logger) throws(GatewayError) {
        self.settings = settings
        self.logger = logger
        let stamps = settings.files.map(FileStamp.init)
        state = Mutex(State(context: try settings.context(), read: stamps, seen: stamps))
    }

    var context: NIOSSLContext { state.withLock { $0.context } }

    /// Checks the files periodically until the task is cancelled.
    public func watch() async {
        while (try? await Task.sleep(for: Self.interval)) != nil { look() }
    }

    /// Reloads files that have changed but not since the previous check: certificate and key are written one after the other,
    /// and do not match in between.
    func look() {
        let stamps = settings.files.map(FileStamp.init)
        let isSettled = state.withLock { state in
            defer { state.seen = stamps }
            return stamps != state.read && stamps == state.seen
        }
        if isSettled { reload() }
    }

    /// Reloads the files now; called on SIGHUP.
    ///
    /// - Returns: whether new connections get the new files; if not, the reason is logged.
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
