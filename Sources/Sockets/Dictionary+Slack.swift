extension Dictionary {
    /// Releases unused capacity after a peak: a dictionary keeps room for as many entries as it ever had.
    ///
    /// Copies the remaining entries, so it acts only when few are left.
    ///
    /// - Returns: whether anything was released.
    @discardableResult
    public mutating func releaseSlack() -> Bool {
        guard capacity > 4096, count < capacity / 8 else { return false }
        var smaller = Dictionary(minimumCapacity: count)
        for (key, value) in self { smaller[key] = value }
        self = smaller
        return true
    }
}
