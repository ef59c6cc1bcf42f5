import Dispatch
import Foundation

/// Signals as something to wait for.
enum Signals {
    /// Signals that do nothing by themselves any more, from the moment that this is made.
    final class Heard: Sendable {
        /// Which ones came, in order; for one reader.
        let numbers: AsyncStream<CInt>
        private let continuation: AsyncStream<CInt>.Continuation
        private let wanted: [CInt]
        /// Dispatch's sources may be used from any thread, but are not declared so.
        private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

        init(_ wanted: [CInt]) {
            let (stream, continuation) = AsyncStream.makeStream(of: CInt.self, bufferingPolicy: .bufferingNewest(8))
            numbers = stream
            self.continuation = continuation
            self.wanted = wanted
            sources = wanted.map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { continuation.yield(number) }
                source.resume()
                return source
            }
        }

        func first() async { for await _ in numbers { break } }

        /// As if the first of the signals had come.
        func come() { continuation.yield(wanted[0]) }

        /// They do again what they do by default.
        func release() {
            for source in sources { source.cancel() }
            for number in wanted { signal(number, SIG_DFL) }
        }
    }

    /// SIGTERM and SIGINT, heard from the moment that this is made: before anybody is told that the program runs.
    final class End: Sendable {
        private let heard = Heard([SIGTERM, SIGINT])

        /// As if a signal had come: the program ends for a reason of its own.
        func come() { heard.come() }

        /// Returns at the first of the two signals. A second one ends the process at once.
        func wait() async {
            await heard.first()
            heard.release()
        }
    }

    /// Returns at the first of the two signals. A second one ends the process at once.
    static func waitForEnd() async { await End().wait() }

    /// Whether whoever started this process wants the signal to do nothing, as nohup does.
    static func isIgnored(_ number: CInt) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// A write to a pipe or socket that nobody reads any more is an error, and not the end.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
