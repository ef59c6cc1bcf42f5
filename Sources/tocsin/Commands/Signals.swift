import Dispatch
import Foundation

/// Signals as something to wait for.
enum Signals {
    /// An element for each SIGHUP, which then no longer ends the process.
    static func hangups() -> AsyncStream<Void> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            signal(SIGHUP, SIG_IGN)
            // Dispatch's sources may be used from any thread, but are not declared so.
            nonisolated(unsafe) let source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: .global())
            source.setEventHandler { continuation.yield() }
            continuation.onTermination = { _ in source.cancel() }
            source.resume()
        }
    }

    /// SIGTERM and SIGINT, heard from the moment that this is made: before anybody is told that the program runs.
    final class End: Sendable {
        private static let numbers = [SIGTERM, SIGINT]
        private let stream: AsyncStream<Void>
        private let continuation: AsyncStream<Void>.Continuation
        /// Dispatch's sources may be used from any thread, but are not declared so.
        private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

        init() {
            let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            self.stream = stream
            self.continuation = continuation
            sources = Self.numbers.map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { continuation.yield() }
                source.resume()
                return source
            }
        }

        /// As if a signal had come: the program ends for a reason of its own.
        func come() { continuation.yield() }

        /// Returns at the first of the two signals. A second one ends the process at once.
        func wait() async {
            for await _ in stream { break }
            for source in sources { source.cancel() }
            for number in Self.numbers { signal(number, SIG_DFL) }
        }
    }

    /// Returns at the first of the two signals. A second one ends the process at once.
    static func waitForEnd() async { await End().wait() }
}
