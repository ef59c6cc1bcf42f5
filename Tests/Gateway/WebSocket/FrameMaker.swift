import NIOCore
import TestSupport

/// Frames as a client sends them, valid or invalid.
struct FrameMaker {
    var opcode: UInt8
    var payload: [UInt8] = []
    var isFinal = true
    var reserved: UInt8 = 0
    var isMasked = true
    var mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    /// Announced instead of the actual length.
    var length: UInt64?
    /// 2, 4 or 10 bytes before the mask; nil: the shortest form.
    var headerBytes: Int?

    static func text(_ text: String, isFinal: Bool = true) -> FrameMaker {
        FrameMaker(opcode: 0x1, payload: Array(text.utf8), isFinal: isFinal)
    }
    static func more(_ text: String, isFinal: Bool = false) -> FrameMaker {
        FrameMaker(opcode: 0x0, payload: Array(text.utf8), isFinal: isFinal)
    }
    static func binary(_ bytes: [UInt8]) -> FrameMaker { FrameMaker(opcode: 0x2, payload: bytes) }
    static func ping(_ text: String = "") -> FrameMaker { FrameMaker(opcode: 0x9, payload: Array(text.utf8)) }
    static func pong(_ text: String = "") -> FrameMaker { FrameMaker(opcode: 0xA, payload: Array(text.utf8)) }
    static func close(_ code: UInt16?, _ reason: [UInt8] = []) -> FrameMaker {
        FrameMaker(opcode: 0x8, payload: (code.map { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } ?? []) + reason)
    }

    var bytes: [UInt8] {
        var bytes = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
        let length = length ?? UInt64(payload.count)
        let maskBit: UInt8 = isMasked ? 0x80 : 0
        switch headerBytes ?? (length <= 125 ? 2 : length <= 0xFFFF ? 4 : 10) {
        case 2: bytes.append(maskBit | UInt8(length))
        case 4: bytes += [maskBit | 126, UInt8(length >> 8), UInt8(length & 0xFF)]
        default: bytes += [maskBit | 127] + (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
        }
        guard isMasked else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }
}
