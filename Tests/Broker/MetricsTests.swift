import Broker
import Testing

struct MetricsTests {
    @Test func `The text has help and type once a name, and a line for each series`() {
        let metrics = Metrics()
        let origin = metrics.counter("refused_total", #"reason="origin""#, help: "Refusals, by reason.")
        let open = metrics.gauge("open", help: "Open now.")
        let login = metrics.counter("refused_total", #"reason="login""#, help: "Refusals, by reason.")
        metrics.gauge("asked", help: "Read when asked.") { 7 }
        origin.add()
        origin.add(41)
        login.add(0)
        open.add(5)
        open.add(-2)
        #expect(
            metrics.prometheusText == """
                # HELP refused_total Refusals, by reason.
                # TYPE refused_total counter
                refused_total{reason="origin"} 42
                refused_total{reason="login"} 0
                # HELP open Open now.
                # TYPE open gauge
                open 3
                # HELP asked Read when asked.
                # TYPE asked gauge
                asked 7

                """)
    }

    @Test func `Without metrics the text is empty`() {
        #expect(Metrics().prometheusText == "")
    }

    @Test func `A gauge is set, also below zero`() {
        let gauge = Metrics().gauge("g", help: "h")
        gauge.set(10)
        gauge.set(-3)
        #expect(gauge.value == -3)
    }

    @Test func `Counts from many tasks are all there`() async {
        let counter = Metrics().counter("c", help: "h")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.add() } } }
        }
        #expect(counter.value == 80_000)
    }
}
