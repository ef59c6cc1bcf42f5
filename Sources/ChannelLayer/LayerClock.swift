import NIOCore

/// What the clock reports to its owner, on the backplane's loop.
protocol LayerClockDelegate: AnyObject {
    /// Called once a second.
    ///
    /// - Parameter seconds: seconds since the clock started.
    func clockTicked(_ seconds: Int)
    /// The process, or the machine, was frozen until now.
    func clockWoke()
}

/// The channel layer's clock: a tick once a second, and a check five times a second of whether the process was asleep.
///
/// Lives on the backplane's loop.
final class LayerClock {
    /// Messages' TTLs are whole seconds: after a longer sleep, what waited in a socket may have expired.
    private static let doze = TimeAmount.milliseconds(900)
    private static let awakeInterval = TimeAmount.milliseconds(200)

    private let eventLoop: any EventLoop
    private var timers: [RepeatedTask] = []
    private var seconds = 0
    /// When this process was last known to be running.
    private var lastAwake = NIODeadline.now()

    weak var delegate: (any LayerClockDelegate)?

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func start() {
        every(.seconds(1)) { clock in
            clock.seconds += 1
            clock.delegate?.clockTicked(clock.seconds)
        }
        every(Self.awakeInterval) { $0.checkAwake() }
    }

    private func every(_ interval: TimeAmount, _ work: @escaping @Sendable (LayerClock) -> Void) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timers.append(
            eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in work(bound.value) })
    }

    func stop() {
        for timer in timers { timer.cancel() }
        timers = []
    }

    /// Also called before the first message of a read is handled, which may come before the timer.
    func checkAwake() {
        let now = NIODeadline.now()
        if now - lastAwake > Self.doze { delegate?.clockWoke() }
        lastAwake = now
    }
}

@available(*, unavailable) extension LayerClock: Sendable {}
