import CSockets
public import Dispatch
import Glibc
public import NIOCore
import Synchronization

/// One thread that waits for its sockets, runs what it is asked to, and keeps time: an event loop like SwiftNIO's own,
/// with plain sockets in the place of channels.
///
/// A socket that is not encrypted needs no pipeline: what a channel costs (about 4 KB, and 50 µs of a handshake) is more
/// than all the rest of a client. Futures, `NIOLoopBound` and `assumeIsolated` work on it as on any loop.
///
/// Threads: `execute` and what is built on it may be called from anywhere; sockets only on the loop. Unchecked, because the
/// compiler cannot see that what is not in the inbox is touched by the loop's thread alone.
public final class SocketLoop: EventLoop, @unchecked Sendable {
    private struct Inbox {
        var tasks: [() -> Void] = []
        /// In `epoll_wait`, or about to be: a task must ring.
        var isAsleep = false
        var isStopping = false
        /// The thread has ended, or is about to, and looks into the inbox no more.
        var hasEnded = false
    }

    private struct Registration {
        var socket: any LoopSocket
        /// Tells this use of a descriptor's number from the one before, of which events may still be around.
        var generation: UInt32
    }

    private let inbox = Mutex(Inbox())
    /// After the end: tasks run one at a time, on the threads that ask.
    private let afterEnd = Mutex(())
    private let epoll: CInt
    private let bell: CInt
    private let thread = Atomic<UInt>(0)
    // Below: the loop's own.
    private var registrations: ContiguousArray<Registration?> = []
    private var generation: UInt32 = 0
    private var timers = TimerQueue()
    private var endings: [() -> Void] = []
    /// Where all sockets of the loop receive into.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private static let bellToken = UInt64.max
    private static let eventsPerWait = 256

    /// Starts the thread.
    ///
    /// - Parameter name: what `top -H` shows; at most 15 bytes.
    public init(name: String) {
        epoll = csockets_epoll()
        precondition(epoll >= 0, "no epoll set: errno \(-epoll)")
        bell = csockets_bell(epoll, Self.bellToken)
        precondition(bell >= 0, "no eventfd: errno \(-bell)")
        LoopThread.start(name: name) { self.run() }
    }

    deinit {
        scratch.deallocate()
        csockets_close(bell)
        csockets_close(epoll)
    }

    public var inEventLoop: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    // MARK: Tasks

    public func execute(_ task: @escaping @Sendable () -> Void) { _executeIsolatedUnsafeUnchecked(task) }

    public func _executeIsolatedUnsafeUnchecked(_ task: @escaping () -> Void) {
        let carried = Carried(task)
        let (mustRing, hasEnded) = inbox.withLock { inbox in
            if inbox.hasEnded { return (false, true) }
            inbox.tasks.append(carried.task)
            defer { inbox.isAsleep = false }
            return (inbox.isAsleep, false)
        }
        if hasEnded { return runAfterEnd(carried.task) }
        // Who runs on the loop needs no bell: the loop looks into its inbox before it waits again.
        if mustRing, !inEventLoop { csockets_ring(bell) }
    }

    /// A future of this loop completes after the loop's end, too, and those who wait for it are told: in the loop's name, on the
    /// thread that asks.
    private func runAfterEnd(_ task: () -> Void) {
        if inEventLoop { return task() }
        afterEnd.withLock { _ in
            thread.store(UInt(pthread_self()), ordering: .relaxed)
            task()
            thread.store(0, ordering: .relaxed)
        }
    }

    private var hasEnded: Bool { inbox.withLock { $0.hasEnded } }

    /// - Throws (in the future): what the task throws; `EventLoopError.shutdown` after the loop's end, without the task.
    public func submit<T>(_ task: @escaping @Sendable () throws -> T) -> EventLoopFuture<T> {
        let promise = makePromise(of: T.self)
        execute {
            if self.hasEnded { return promise.fail(EventLoopError.shutdown) }
            do {
                promise.assumeIsolated().succeed(try task())
            } catch {
                promise.fail(error)
            }
        }
        return promise.futureResult
    }

    /// At the end of this turn, when nobody is in the middle of anything. On the loop only.
    func atTurnEnd(_ task: @escaping () -> Void) { endings.append(task) }

    /// - Throws (in the future): what the task throws; `EventLoopError.cancelled`; `EventLoopError.shutdown` when the loop ends
    ///   before.
    @discardableResult
    public func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let timer = TimerQueue.Timer(deadline: deadline) { isDue in
            guard isDue else { return promise.fail(EventLoopError.shutdown) }
            do {
                promise.assumeIsolated().succeed(try task())
            } catch {
                promise.fail(error)
            }
        }
        if inEventLoop { insert(timer) } else { execute { self.insert(timer) } }
        return Scheduled(promise: promise) { timer.isCancelled.store(true, ordering: .relaxed) }
    }

    private func insert(_ timer: TimerQueue.Timer) {
        timers.insert(timer)
        if hasEnded { endTimers() }
    }

    private func endTimers() { for body in timers.all() { body(false) } }

    @discardableResult
    public func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: .now() + delay, task)
    }

    /// Closes every socket and ends the thread, after what it was asked to do before. Timers that are left fail.
    public func stop() {
        execute {
            for registration in self.registrations { registration?.socket.close() }
            self.endTurn()
            self.inbox.withLock { $0.isStopping = true }
        }
    }

    public func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        stop()
        queue.async { callback(nil) }
    }

    // MARK: The thread

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        withUnsafeTemporaryAllocation(of: csockets_event.self, capacity: Self.eventsPerWait) { events in
            while true {
                let count = wait(events)
                for index in 0..<max(count, 0) { dispatch(events[index]) }
                let isStopping = runTasks()
                for body in timers.due(.now()) { body(true) }
                endTurn()
                if isStopping { return end() }
            }
        }
    }

    private func end() {
        endTimers()
        while true {
            let tasks = inbox.withLock { inbox in
                defer { inbox.tasks = [] }
                inbox.hasEnded = inbox.tasks.isEmpty
                return Carried(inbox.tasks)
            }
            if tasks.task.isEmpty { break }
            for task in tasks.task { task() }
            endTimers()
            endTurn()
        }
        thread.store(0, ordering: .relaxed)
    }

    private func endTurn() {
        while !endings.isEmpty {
            let endings = endings
            self.endings = []
            for ending in endings { ending() }
        }
    }

    private func wait(_ events: UnsafeMutableBufferPointer<csockets_event>) -> Int {
        let mayWait = inbox.withLock { inbox in
            inbox.isAsleep = inbox.tasks.isEmpty
            return inbox.isAsleep
        }
        let timeout = mayWait ? timers.millisecondsLeft(.now()) : 0
        let count = csockets_wait(epoll, events.baseAddress, CInt(events.count), timeout)
        precondition(count >= 0, "epoll_wait failed: errno \(-count)")
        return Int(count)
    }

    private func dispatch(_ event: csockets_event) {
        guard event.token != Self.bellToken else { return }
        let fd = Int(event.token & 0xFFFF_FFFF), generation = UInt32(event.token >> 32)
        guard let registration = registrations[fd], registration.generation == generation else { return }
        registration.socket.ready(event)
    }

    /// Runs queued tasks, plus up to eight rounds of tasks that those tasks enqueue.
    private func runTasks() -> Bool {
        for _ in 0..<8 {
            let (tasks, isStopping) = inbox.withLock { inbox in
                inbox.isAsleep = false
                let tasks = inbox.tasks
                inbox.tasks = []
                return (Carried(tasks), inbox.isStopping)
            }
            for task in tasks.task { task() }
            if tasks.task.isEmpty || isStopping { return isStopping }
        }
        return false
    }

    // MARK: Sockets

    /// - Returns: false when the kernel takes no more.
    func add(_ socket: any LoopSocket, descriptor: CInt) -> Bool {
        assertInEventLoop()
        generation &+= 1
        if registrations.count <= Int(descriptor) {
            let missing = Int(descriptor) + 1 - registrations.count
            registrations.append(contentsOf: repeatElement(nil, count: missing))
        }
        registrations[Int(descriptor)] = Registration(socket: socket, generation: generation)
        guard csockets_watch(epoll, descriptor, token(descriptor), false) == 0 else {
            registrations[Int(descriptor)] = nil
            return false
        }
        return true
    }

    /// Whether to be told that there is room to write, too.
    func watch(_ descriptor: CInt, writes: Bool) {
        _ = csockets_rewatch(epoll, descriptor, token(descriptor), writes)
    }

    /// Right before its descriptor is closed, which takes it out of the epoll set (epoll(7), question 6).
    func remove(_ descriptor: CInt) { registrations[Int(descriptor)] = nil }

    /// Its descriptor goes on to somebody else, who adds it again.
    func release(_ descriptor: CInt) {
        _ = csockets_unwatch(epoll, descriptor)
        registrations[Int(descriptor)] = nil
    }

    private func token(_ descriptor: CInt) -> UInt64 {
        UInt64(registrations[Int(descriptor)]!.generation) << 32 | UInt64(UInt32(descriptor))
    }

    /// Receives into the loop's own buffer.
    ///
    /// - Returns: the bytes, empty at the stream's end; nil when there are none now.
    /// - Throws: the connection has failed.
    func receive(_ descriptor: CInt) throws(SocketError) -> UnsafeRawBufferPointer? {
        let count = csockets_receive(descriptor, scratch.baseAddress, scratch.count)
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return nil }
        guard count >= 0 else { throw SocketError(code: CInt(-count)) }
        return UnsafeRawBufferPointer(rebasing: scratch[..<count])
    }
}

/// Something with a descriptor of its own. Called on its loop only.
protocol LoopSocket: AnyObject {
    func ready(_ event: csockets_event)
    func close()
}

/// A system call's error.
public struct SocketError: Error, CustomStringConvertible {
    let code: CInt
    public var description: String { String(cString: strerror(code)) }
}

/// A value that crosses to its loop in the inbox; who sends it does not keep it.
private struct Carried<Value>: @unchecked Sendable {
    let task: Value
    init(_ task: Value) { self.task = task }
}
