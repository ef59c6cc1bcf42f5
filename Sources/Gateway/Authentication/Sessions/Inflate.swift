/// Inflates what Python's `zlib.compress` wrote (RFC 1950, RFC 1951), up to a bound.
///
/// For the few hundred bytes of a session cookie, and only after its signature was found right. So it is written to be read:
/// codes are looked up bit by bit, as in Mark Adler's `puff`.
struct Inflate {
    /// Why nothing comes out.
    enum Failure: Error { case malformed, tooLarge }

    private let input: [UInt8]
    private let maximum: Int
    private var at = 0
    private var bits: UInt32 = 0
    private var bitCount = 0
    private var output: [UInt8] = []

    private init(_ input: [UInt8], maximum: Int) {
        self.input = input
        self.maximum = maximum
    }

    /// - Parameter maximum: more bytes than that are never written.
    static func zlib(_ input: [UInt8], maximum: Int) throws(Failure) -> [UInt8] {
        // RFC 1950 section 2.2: deflate, a window of at most 32 KiB, no preset dictionary; the two bytes are a multiple of 31.
        guard input.count >= 6, input[0] & 0x0f == 8, input[0] >> 4 <= 7, input[1] & 0x20 == 0,
            (Int(input[0]) << 8 | Int(input[1])) % 31 == 0
        else { throw .malformed }
        var inflate = Inflate(input, maximum: maximum)
        inflate.at = 2
        var isLast = false
        while !isLast {
            isLast = try inflate.take(1) == 1
            switch try inflate.take(2) {
            case 0: try inflate.stored()
            case 1: try inflate.compressed(.fixedLengths, .fixedDistances)
            case 2:
                let (lengths, distances) = try inflate.codes()
                try inflate.compressed(lengths, distances)
            default: throw .malformed
            }
        }
        // The checksum, and nothing behind it.
        let end = inflate.at
        guard input.count == end + 4 else { throw .malformed }
        let sum = input[end...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard sum == adler(inflate.output) else { throw .malformed }
        return inflate.output
    }

    private static func adler(_ bytes: [UInt8]) -> UInt32 {
        var a: UInt32 = 1, b: UInt32 = 0
        for byte in bytes {
            a = (a + UInt32(byte)) % 65521
            b = (b + a) % 65521
        }
        return b << 16 | a
    }

    private mutating func take(_ count: Int) throws(Failure) -> Int {
        while bitCount < count {
            guard at < input.count else { throw .malformed }
            bits |= UInt32(input[at]) << UInt32(bitCount)
            at += 1
            bitCount += 8
        }
        let value = bits & ((1 << UInt32(count)) - 1)
        bits >>= UInt32(count)
        bitCount -= count
        return Int(value)
    }

    private mutating func write(_ byte: UInt8) throws(Failure) {
        guard output.count < maximum else { throw .tooLarge }
        output.append(byte)
    }

    // MARK: Blocks

    private mutating func stored() throws(Failure) {
        bits = 0
        bitCount = 0
        guard at + 4 <= input.count else { throw .malformed }
        let length = Int(input[at]) | Int(input[at + 1]) << 8
        guard length ^ 0xffff == Int(input[at + 2]) | Int(input[at + 3]) << 8, at + 4 + length <= input.count else {
            throw .malformed
        }
        at += 4
        for _ in 0..<length {
            try write(input[at])
            at += 1
        }
    }

    private static let lengthBase = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthExtra = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBase = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]

    private mutating func compressed(_ lengths: PrefixCode, _ distances: PrefixCode) throws(Failure) {
        while true {
            let symbol = try next(lengths)
            if symbol < 256 {
                try write(UInt8(symbol))
            } else if symbol == 256 {
                return
            } else {
                guard symbol - 257 < Self.lengthBase.count else { throw .malformed }
                let length = try Self.lengthBase[symbol - 257] + take(Self.lengthExtra[symbol - 257])
                let code = try next(distances)
                guard code < Self.distanceBase.count else { throw .malformed }
                let distance = try Self.distanceBase[code] + take(max(0, code / 2 - 1))
                guard distance <= output.count else { throw .malformed }
                for _ in 0..<length { try write(output[output.count - distance]) }
            }
        }
    }

    /// RFC 1951 section 3.2.7: the codes of this block, themselves coded.
    private mutating func codes() throws(Failure) -> (PrefixCode, PrefixCode) {
        let lengthCount = try take(5) + 257, distanceCount = try take(5) + 1, codeCount = try take(4) + 4
        guard lengthCount <= 286, distanceCount <= 30 else { throw .malformed }
        var sizes = [Int](repeating: 0, count: 19)
        for place in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].prefix(codeCount) {
            sizes[place] = try take(3)
        }
        let code = try PrefixCode(sizes)
        var all: [Int] = []
        while all.count < lengthCount + distanceCount {
            switch try next(code) {
            case let size where size < 16: all.append(size)
            case 16:
                guard let last = all.last else { throw .malformed }
                all += [Int](repeating: last, count: try take(2) + 3)
            case 17: all += [Int](repeating: 0, count: try take(3) + 3)
            default: all += [Int](repeating: 0, count: try take(7) + 11)
            }
        }
        guard all.count == lengthCount + distanceCount, all[256] > 0 else { throw .malformed }
        return (try PrefixCode(Array(all[..<lengthCount])), try PrefixCode(Array(all[lengthCount...])))
    }

    private mutating func next(_ code: PrefixCode) throws(Failure) -> Int {
        var value = 0, first = 0, index = 0
        for length in 1...PrefixCode.maximumLength {
            value |= try take(1)
            let count = code.counts[length]
            if value - first < count { return code.symbols[index + value - first] }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        throw .malformed
    }
}

/// A canonical prefix code: how many codes each length has, and the symbols in the order of their codes (RFC 1951 section
/// 3.2.2).
private struct PrefixCode {
    static let maximumLength = 15
    var counts = [Int](repeating: 0, count: maximumLength + 1)
    var symbols: [Int] = []

    init(_ lengths: [Int]) throws(Inflate.Failure) {
        for length in lengths where length > 0 { counts[length] += 1 }
        // More codes than there is room for; fewer are left to fail where one of those is met.
        var room = 1
        for length in 1...Self.maximumLength {
            room = room << 1 - counts[length]
            guard room >= 0 else { throw .malformed }
        }
        for length in 1...Self.maximumLength {
            for (symbol, own) in lengths.enumerated() where own == length { symbols.append(symbol) }
        }
    }

    private init(checked lengths: [Int]) {
        for length in lengths { counts[length] += 1 }
        symbols = (1...Self.maximumLength).flatMap { length in lengths.indices.filter { lengths[$0] == length } }
    }

    static let fixedLengths = PrefixCode(
        checked: [Int](repeating: 8, count: 144) + [Int](repeating: 9, count: 112) + [Int](repeating: 7, count: 24)
            + [Int](repeating: 8, count: 8))
    static let fixedDistances = PrefixCode(checked: [Int](repeating: 5, count: 30))
}
