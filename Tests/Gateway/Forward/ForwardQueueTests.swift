import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Each event in each state, and random sequences of them.
struct ForwardQueueTests {
    private static func message(_ number: Int) -> ByteBuffer { ByteBuffer(string: "\(number)") }
    private static let (one, two, three) = (message(1), message(2), message(3))

    private enum Place: CaseIterable { case idle, sending, pausing }

    private func queue(_ place: Place, waits: Bool = true) -> ForwardQueue {
        var queue = ForwardQueue(waitsForRoom: waits)
        if place != .idle { #expect(queue.put(Self.one) == .send(Self.one)) }
        if place == .pausing { #expect(queue.full() == [.pause]) }
        return queue
    }

    @Test func `The first message is sent, the next ones wait`() {
        for place in Place.allCases {
            var queue = queue(place)
            #expect(queue.put(Self.two) == (place == .idle ? .send(Self.two) : nil))
        }
    }

    @Test func `After an answer the next message is sent, and after the last nothing`() {
        for place in Place.allCases {
            var queue = queue(place)
            _ = queue.put(Self.two)
            let actions = queue.accepted()
            switch place {
            case .idle: #expect(actions == [] && queue.isIdle)
            case .sending: #expect(actions == [.send(Self.two)] && queue.accepted() == [] && queue.isIdle)
            case .pausing: #expect(actions == [] && !queue.isIdle)
            }
        }
    }

    @Test func `A failure is reported, and the next message is sent`() {
        for place in Place.allCases {
            var queue = queue(place)
            _ = queue.put(Self.two)
            let actions = queue.failed(.siteFailed)
            switch place {
            case .idle: #expect(actions == [.report(.siteFailed)], "the second message was the first to be sent")
            case .sending: #expect(actions == [.report(.siteFailed), .send(Self.two)])
            case .pausing: #expect(actions == [])
            }
        }
    }

    @Test func `A full channel is reported at once where the route does not wait`() {
        for place in Place.allCases where place != .pausing {
            var queue = queue(place, waits: false)
            #expect(queue.full() == (place == .sending ? [.report(.channelFull)] : []))
            #expect(queue.isIdle)
        }
    }

    @Test func `A full channel is tried again after a pause, with the same message and before all others`() {
        var queue = queue(.pausing)
        #expect(queue.full() == [] && queue.put(Self.two) == nil)
        #expect(queue.pauseEnded() == [.send(Self.one)])
        #expect(queue.pauseEnded() == [])
        #expect(queue.accepted() == [.send(Self.two)])
    }

    @Test func `It is given up after as many attempts as the layer would keep it seconds`() {
        var queue = queue(.sending)
        for _ in 1..<ForwardQueue.maximumAttempts {
            #expect(queue.full() == [.pause])
            #expect(queue.pauseEnded() == [.send(Self.one)])
        }
        #expect(queue.full() == [.report(.channelFull)] && queue.isIdle)
    }

    @Test func `No more messages wait than may, and no more bytes`() {
        var queue = queue(.sending)
        for number in 0..<ForwardQueue.maximumWaiting { #expect(queue.put(Self.message(number)) == nil) }
        #expect(queue.put(Self.two) == .report(.overloaded))
        var other = self.queue(.sending)
        let half = ByteBuffer(repeating: 0, count: ForwardQueue.maximumWaitingBytes / 2)
        #expect(other.put(half) == nil && other.put(half) == nil)
        #expect(other.put(Self.two) == .report(.overloaded))
        #expect(other.accepted() == [.send(half)])
        #expect(other.put(Self.two) == nil, "the bytes that were sent wait no longer")
    }

    /// The model: a list of messages, the first of which is at the worker.
    @Test(arguments: 0..<100) func `Whatever happens, every message is sent in its order or reported`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = ForwardQueue(waitsForRoom: seed % 2 == 0)
        var given = 0, sent: [ByteBuffer] = [], reported = 0, isWaiting = false, isPausing = false
        func take(_ actions: [ForwardQueue.Action]) {
            for action in actions {
                switch action {
                case .send(let message):
                    if sent.last != message { sent.append(message) }
                    isWaiting = true
                case .pause: isPausing = true
                case .report: reported += 1
                }
            }
        }
        for _ in 0..<400 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1, 2:
                given += 1
                let before = reported
                take([queue.put(Self.message(given))].compactMap { $0 })
                if reported > before { given -= 1; reported = before }  // refused at the door: never sent
            case 3 where isWaiting:
                isWaiting = false
                take(queue.accepted())
            case 4 where isWaiting:
                isWaiting = false
                take(Bool.random(using: &random) ? queue.full() : queue.failed(.unavailable))
            case 5 where isPausing:
                isPausing = false
                take(queue.pauseEnded())
            default: break
            }
        }
        while !queue.isIdle { take(isPausing ? queue.pauseEnded() : queue.accepted()); isPausing = false }
        let numbers = sent.compactMap { Int(String(buffer: $0)) }
        #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    }
}
