import Synchronization

/// A monotonic counter. Adding is one relaxed atomic operation; on the message path, add once per batch.
public final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    init() {}
    public func add(_ amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }
    public var value: Int { count.load(ordering: .relaxed) }
}

/// A value that goes up and down.
public final class Gauge: Sendable {
    private let number = Atomic<Int>(0)
    init() {}
    public func add(_ amount: Int) { number.wrappingAdd(amount, ordering: .relaxed) }
    public func set(_ value: Int) { number.store(value, ordering: .relaxed) }
    public var value: Int { number.load(ordering: .relaxed) }
}

/// The process' metrics by name, with their Prometheus text.
///
/// Metrics are created once, at startup. Labels are constants of the code, so that nobody outside can create series.
public final class Metrics: Sendable {
    private enum Value: Sendable {
        case counter(Counter), gauge(Gauge)
        case read(@Sendable () -> Int)
    }
    private struct Series: Sendable {
        var name: String
        var labels: String
        var help: String
        var value: Value
    }
    private let series = Mutex<[Series]>([])

    public init() {}

    /// - Parameter labels: as in Prometheus' text format, without braces: `reason="origin"`.
    public func counter(_ name: String, _ labels: String = "", help: String) -> Counter {
        let counter = Counter()
        add(Series(name: name, labels: labels, help: help, value: .counter(counter)))
        return counter
    }

    public func gauge(_ name: String, _ labels: String = "", help: String) -> Gauge {
        let gauge = Gauge()
        add(Series(name: name, labels: labels, help: help, value: .gauge(gauge)))
        return gauge
    }

    /// A gauge whose value is read on each scrape.
    public func gauge(_ name: String, _ labels: String = "", help: String, read: @escaping @Sendable () -> Int) {
        add(Series(name: name, labels: labels, help: help, value: .read(read)))
    }

    private func add(_ new: Series) {
        series.withLock { series in
            precondition(!series.contains { $0.name == new.name && $0.labels == new.labels }, "two metrics \(new.name)")
            series.append(new)
        }
    }

    /// All series in Prometheus' text format, version 0.0.4.
    public var prometheusText: String {
        let all = series.withLock { $0 }
        var text = ""
        var written: Set<String> = []
        for first in all where written.insert(first.name).inserted {
            let isCounter = if case .counter = first.value { true } else { false }
            text += "# HELP \(first.name) \(first.help)\n# TYPE \(first.name) \(isCounter ? "counter" : "gauge")\n"
            for one in all where one.name == first.name {
                let labels = one.labels.isEmpty ? "" : "{\(one.labels)}"
                let value =
                    switch one.value {
                    case .counter(let counter): counter.value
                    case .gauge(let gauge): gauge.value
                    case .read(let read): read()
                    }
                text += "\(one.name)\(labels) \(value)\n"
            }
        }
        return text
    }
}
