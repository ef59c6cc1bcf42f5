/// The stack of maps and arrays around the value being read, the innermost last.
///
/// The first sixteen are stored inline, so that messages of usual depth need no allocation.
struct OpenContainers {
    /// A map or an array with the number of values still to come; in a map, of pairs.
    struct Container {
        var remaining: Int
        var isMap: Bool

        fileprivate init(packed: UInt64) {
            self.init(remaining: Int(packed >> 1), isMap: packed & 1 == 1)
        }

        init(remaining: Int, isMap: Bool) {
            self.remaining = remaining
            self.isMap = isMap
        }

        fileprivate var packed: UInt64 {
            UInt64(self.remaining) << 1 | (self.isMap ? 1 : 0)
        }
    }

    private(set) var depth = 0
    /// The last container pushed; meaningless at depth 0.
    var innermost = Container(remaining: 0, isMap: false)
    private var near = SIMD16<UInt64>()
    private var far: [UInt64] = []

    mutating func push(_ container: Container) {
        if self.depth < self.near.scalarCount {
            self.near[self.depth] = self.innermost.packed
        } else {
            self.far.append(self.innermost.packed)
        }
        self.innermost = container
        self.depth += 1
    }

    mutating func pop() {
        self.depth -= 1
        if self.depth < self.near.scalarCount {
            self.innermost = Container(packed: self.near[self.depth])
        } else {
            self.innermost = Container(packed: self.far.removeLast())
        }
    }
}
