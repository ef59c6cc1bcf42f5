import CSockets
public import Dispatch
import Glibc
public import NIOCore
import Synchronization

/// A single-threaded event loop like SwiftNIO's, with plain sockets instead of channels: waits for sockets, runs tasks, and
/// keeps timers.
///
/// An unencrypted socket needs no pipeline, and a channel (about 4 KB, and 50 µs of a handshake) costs more than the rest of
/// a client. Futures, `NIOLoopBound` and `assumeIsolated` work as on any loop.
///
/// Threads: `execute` and everything built on it may be called from anywhere; sockets only on the loop. Unchecked, because
/// the compiler cannot see that everything outside the inbox is accessed by the loop's thread alone.
public final class SocketLoop: EventLoop, @unchecked Sendable {
    private struct Inbox {
        var tasks: [() -> Void] = []
        /// In `epoll_wait`, or about to be: adding a task must ring the bell.
        var isAsleep = false
        var isStopping = false
        /// The thread has ended, or is about to, and no longer reads the inbox.
        var hasEnded = false
    }

    private struct Registration {
        var socket: any LoopSocket
        /// Distinguishes reuses of a descriptor's number; events of the previous use may still be pending.
        var generation: UInt32
    }

    private let inbox = Mutex(Inbox())
    /// After the end: tasks run one at a time, on the threads of their callers.
    private let afterEnd = Mutex(())
    private let epoll: CInt
    private let bell: CInt
    private let thread = Atomic<UInt>(0)
    // Below: accessed by the loop's thread only.
    private var registrations: ContiguousArray<Registration?> = []
    private var generation: UInt32 = 0
    private var timers = TimerQueue()
    private var endings: [() -> Void] = []
    /// Receive buffer shared by all sockets of the loop.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private static let bellToken = UInt64.max
    private static let eventsPerWait = 256

    /// Starts the thread.
    ///
    /// - Parameter name: shown by `top -H`; at most 15 bytes.
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
        // On the loop's own thread no bell is needed: it checks its inbox before it waits again.
        if mustRing, !inEventLoop { csockets_ring(bell) }
    }

    /// Futures of this loop can still complete after its end: their callbacks run on the calling thread, which counts as the
    /// loop's thread meanwhile.
    private func runAfterEnd(_ task: () -> Void) {
        if inEventLoop { return task() }
        afterEnd.withLock { _ in
            thread.store(UInt(pthread_self()), ordering: .relaxed)
            task()
            thread.store(0, ordering: .relaxed)
        }
    }

    private var hasEnded: Bool { inbox.withLock { $0.hasEnded } }

    /// - Throws (in the future): the task's error; after the loop's end `EventLoopError.shutdown`, and the task does not run.
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

    /// Runs the task at the end of this turn, when no other code is in the middle of something. On the loop only.
    func atTurnEnd(_ task: @escaping () -> Void) { endings.append(task) }

    /// - Throws (in the future): the task's error; `EventLoopError.cancelled`; `EventLoopError.shutdown` when the loop ends
    ///   first.
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

    /// Runs tasks queued before, then closes every socket and ends the thread. Remaining timers fail.
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

    /// - Returns: false when the kernel accepts no more sockets.
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

    /// Sets whether to report that the descriptor is writable, too.
    func watch(_ descriptor: CInt, writes: Bool) {
        _ = csockets_rewatch(epoll, descriptor, token(descriptor), writes)
    }

    /// Call right before closing the descriptor, which takes it out of the epoll set (epoll(7), question 6).
    func remove(_ descriptor: CInt) { registrations[Int(descriptor)] = nil }

    /// Unregisters a descriptor that stays open, and will be added again by its next owner.
    func release(_ descriptor: CInt) {
        _ = csockets_unwatch(epoll, descriptor)
        registrations[Int(descriptor)] = nil
    }

    private func token(_ descriptor: CInt) -> UInt64 {
        UInt64(registrations[Int(descriptor)]!.generation) << 32 | UInt64(UInt32(descriptor))
    }

    /// Receives into the loop's shared buffer.
    ///
    /// - Returns: the bytes, empty at the end of the stream; nil when there are none now.
    /// - Throws: `SocketError` when the connection has failed.
    func receive(_ descriptor: CInt) throws(SocketError) -> UnsafeRawBufferPointer? {
        let count = csockets_receive(descriptor, scratch.baseAddress, scratch.count)
        if count == -Int(EAGAIN) || count == -Int(EINTR) { return nil }
        guard count >= 0 else { throw SocketError(code: CInt(-count)) }
        return UnsafeRawBufferPointer(rebasing: scratch[..<count])
    }
}

/// An object with a descriptor registered at the loop. Called on its loop only.
protocol LoopSocket: AnyObject {
    func ready(_ event: csockets_event)
    func close()
}

/// The error of a system call.
public struct SocketError: Error, CustomStringConvertible {
    let code: CInt
    public var description: String { String(cString: strerror(code)) }
}

/// A value on its way to the loop's inbox; its sender must not keep it.
private struct Carried<Value>: @unchecked Sendable {
    let task: Value
    init(_ task: Value) { self.task = task }
}
