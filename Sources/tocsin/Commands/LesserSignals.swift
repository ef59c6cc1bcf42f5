import Foundation
import Logging

/// Handles signals that would by default end a gateway and all its connections, which nobody intends: SIGHUP, which asks for
/// files to be reloaded, or comes from a closed terminal; SIGUSR1 and SIGUSR2, with which other servers are told to reopen
/// their logs.
struct LesserSignals {
    private let heard = Signals.Received([SIGHUP, SIGUSR1, SIGUSR2])

    /// From now on none of these signals ends the process.
    init() { Signals.ignoreBrokenPipes() }

    /// Reloads on SIGHUP. A signal without effect is logged, once per signal.
    ///
    /// - Parameter reload: reloads files; false: there are none to reload.
    func obey(logger: Logger, reload: () -> Bool) async {
        var said: Set<CInt> = []
        for await number in heard.numbers {
            if number == SIGHUP, reload() { continue }
            guard said.insert(number).inserted else { continue }
            let (name, why) =
                switch number {
                case SIGHUP:
                    (
                        "SIGHUP",
                        "without gateway.tls there is nothing to read again; a new configuration wants a new start"
                    )
                case SIGUSR1: ("SIGUSR1", "it asks for nothing here: the log goes to standard error")
                default: ("SIGUSR2", "it asks for nothing here")
                }
            logger.notice("\(name) is ignored", metadata: ["why": "\(why)", "end": "SIGTERM drains and ends"])
        }
    }
}
