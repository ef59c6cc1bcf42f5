import Foundation
import Logging

/// Signals that would end a gateway by default, and all its connections with it, though nobody means that: SIGHUP, which asks
/// for files to be read again, or comes from a terminal that was closed; SIGUSR1 and SIGUSR2, which tell other servers to open
/// their logs anew.
struct LesserSignals {
    private let heard = Signals.Heard([SIGHUP, SIGUSR1, SIGUSR2])

    /// From now on none of them ends the process.
    init() { Signals.ignoreBrokenPipes() }

    /// SIGHUP is passed on; of what does nothing that is said, once.
    ///
    /// - Parameter reload: reads again what can be; false: there is nothing of the kind.
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
