import Dispatch
import Foundation

/// SIGTERM and SIGINT as something to wait for.
enum Signals {
    private static let numbers = [SIGTERM, SIGINT]

    /// Returns at the first of the two signals. A second one ends the process at once.
    static func waitForEnd() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield() }
            source.resume()
            return source
        }
        for await _ in stream { break }
        for source in sources { source.cancel() }
        for number in numbers { signal(number, SIG_DFL) }
    }
}
