//! What handles stand for. The table that says which of them live is C's; here are the objects.

internal import CThimble
internal import Threads

/// What a handle stands for.
protocol HandleObject: AnyObject, Sendable {
    static var kind: capi_kind { get }
    /// What the kind is called in messages.
    static var name: String { get }
    /// The value that the caller knows it by.
    var handle: UInt { get }
}

/// The objects of all handles that live, by their slot.
enum Handles {
    private static let objects = Monitor<[Int32: any HandleObject]>([:])

    /// Takes a handle that stands for nothing yet.
    private static func take(_ kind: capi_kind) throws(CallFault) -> UInt {
        let handle = capi_handle_make(kind)
        guard handle != 0 else {
            throw CallFault(
                THIMBLE_E_OUT_OF_MEMORY, THIMBLE_DETAIL_HANDLES,
                "there are \(CAPI_HANDLES_MAX) handles; close some")
        }
        return handle
    }

    /// Takes a handle for what `make` makes, and lets it stand for that; nothing is taken where that fails.
    static func open<Object: HandleObject>(
        _ make: (UInt) throws(CallFault) -> Object
    ) throws(CallFault) -> OpaquePointer? {
        let handle = try take(Object.kind)
        do throws(CallFault) {
            put(try make(handle))
            return unsafe OpaquePointer(bitPattern: handle)
        } catch {
            capi_handle_end(handle)
            throw error
        }
    }

    /// Lets the object's handle stand for it.
    private static func put(_ object: some HandleObject) {
        let slot = capi_handle_slot(object.handle, type(of: object).kind)
        objects.withLock { $0[slot] = object }
    }

    /// What a handle stands for.
    static func find<Object: HandleObject>(
        _ pointer: OpaquePointer?, _ type: Object.Type = Object.self
    ) throws(CallFault) -> Object {
        guard let pointer = unsafe pointer else { throw .null(Object.name) }
        let handle = UInt(bitPattern: pointer)
        let slot = capi_handle_slot(handle, Object.kind)
        // Between the two questions the handle may have been closed, and another one have come to its slot.
        guard slot >= 0, let object = objects.withLock({ $0[slot] }) as? Object, object.handle == handle
        else {
            throw .argument(
                THIMBLE_DETAIL_HANDLE,
                "the \(Object.name) was closed, or never was one; give one that is open")
        }
        return object
    }

    /// Ends the handle of an object that was put.
    static func end(_ object: some HandleObject) {
        let slot = capi_handle_slot(object.handle, type(of: object).kind)
        objects.withLock { _ = $0.removeValue(forKey: slot) }
        capi_handle_end(object.handle)
    }
}

/// How many things are open that were made of an object, which cannot be closed while there are any.
struct OpenCount: ~Copyable, Sendable {
    private let state = Monitor<(count: Int, isClosed: Bool)>((0, false))

    var count: Int { state.withLock { $0.count } }

    /// Counts one more. Throws where the object is closed.
    func enter(_ name: String) throws(CallFault) {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.count += 1 }
            return !state.isClosed
        }
        if !isOpen { throw .argument(THIMBLE_DETAIL_HANDLE, "the \(name) was closed") }
    }

    func leave() { state.withLock { $0.count -= 1 } }

    /// Lets nothing more be made. Throws where something is open, or another thread has closed the object.
    func close(_ name: String, _ children: String) throws(CallFault) {
        let (count, wasClosed) = state.withLock { state in
            let before = state
            if state.count == 0 { state.isClosed = true }
            return before
        }
        if wasClosed { throw .argument(THIMBLE_DETAIL_HANDLE, "the \(name) was closed") }
        if count > 0 {
            throw CallFault(
                THIMBLE_E_BUSY, THIMBLE_DETAIL_HAS_OPEN,
                "the \(name) has \(count) \(children) that are open; close them first")
        }
    }
}

/// Who computes next: threads that want to take turns in the order in which they came.
struct Turns: ~Copyable, Sendable {
    private let state = Monitor<(next: UInt64, serving: UInt64)>((0, 0))

    /// Runs `body` when it is this thread's turn.
    func take<Result>(_ body: () throws(CallFault) -> Result) throws(CallFault) -> Result {
        let turn = state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
        state.wait { $0.serving == turn ? () : nil }
        defer { state.withLock(waking: .all) { $0.serving += 1 } }
        return try body()
    }
}
