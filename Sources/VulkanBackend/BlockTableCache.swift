//! Block tables on the device: uploaded when they have changed, not for each layer.

internal import Tensors
internal import VulkanCompute

/// The block tables that operations last read, and where the device has them.
struct BlockTableCache {
    private struct Slot {
        /// A copy of its own: a table that shared its memory would have to take new memory to grow.
        var pages: [Int32] = []
        var buffer: DeviceBuffer
        var lastUse: Int

        init(_ device: VulkanDevice, byteCount: Int, lastUse: Int) throws(VulkanError) {
            buffer = try DeviceBuffer(device, byteCount: byteCount)
            self.lastUse = lastUse
            pages.reserveCapacity(byteCount / 4)
        }
    }

    /// The decoder's, and the vision tower's.
    private static let slotCount = 2
    private var slots: [Slot] = []
    private var uses = 0

    /// Where the device has the table, once `upload` has brought there what changed. Its memory is made for
    /// all pages that the table has room for, so that one that grows keeps it.
    mutating func address(
        of table: BlockTable, on device: VulkanDevice,
        upload: (DeviceBuffer, Range<Int>) -> Void
    ) throws(VulkanError) -> UInt64 {
        uses += 1
        if let index = slots.firstIndex(where: { $0.pages == table.pages }) {
            slots[index].lastUse = uses
            return slots[index].buffer.address
        }
        let needed = max(table.pages.capacity, table.count) * 4
        var index = slots.indices.min { slots[$0].lastUse < slots[$1].lastUse } ?? 0
        // A table that grew at its end, or was cut, is the same sequence's.
        if let same = slots.firstIndex(where: { slot in
            let common = min(slot.pages.count, table.count)
            return common > 0 && slot.pages[..<common] == table.pages[..<common]
                && slot.buffer.byteCount >= needed
        }) {
            index = same
        } else if slots.count < Self.slotCount {
            index = slots.count
            slots.append(try Slot(device, byteCount: needed, lastUse: uses))
        } else if slots[index].buffer.byteCount < needed {
            slots[index] = try Slot(device, byteCount: needed, lastUse: uses)
        }
        let knownCount = min(slots[index].pages.count, table.count)
        var first = 0
        while first < knownCount, slots[index].pages[first] == table[first] { first += 1 }
        slots[index].pages.removeLast(slots[index].pages.count - first)
        slots[index].pages.append(contentsOf: table.pages[first...])
        slots[index].lastUse = uses
        if first < table.count { upload(slots[index].buffer, first..<table.count) }
        return slots[index].buffer.address
    }
}
