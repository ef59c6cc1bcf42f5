import Dispatch
import Foundation

/// Signals as events to wait for.
enum Signals {
    /// Receives signals, which have no other effect from the moment this is created.
    final class Received: Sendable {
        /// The signals received, in order; for a single reader.
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

        /// Acts as if the first of the signals had been received.
        func come() { continuation.yield(wanted[0]) }

        /// Restores the signals' default behaviour.
        func release() {
            for source in sources { source.cancel() }
            for number in wanted { signal(number, SIG_DFL) }
        }
    }

    /// Receives SIGTERM and SIGINT. Create it before announcing that the program runs.
    final class End: Sendable {
        private let heard = Received([SIGTERM, SIGINT])

        /// Acts as if a signal had been received: the program ends for a reason of its own.
        func come() { heard.come() }

        /// Returns at the first of the two signals. A second one ends the process immediately.
        func wait() async {
            await heard.first()
            heard.release()
        }
    }

    /// Returns at the first of the two signals. A second one ends the process immediately.
    static func waitForEnd() async { await End().wait() }

    /// Whether the process was started with the signal ignored, as nohup does.
    static func isIgnored(_ number: CInt) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Makes a write to a pipe or socket without a reader an error, instead of ending the process.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
