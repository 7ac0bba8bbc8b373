//! Who computes a share of a model, and where its weights live.

public import Memory
public import Tensors

/// A share of a model, the backend that is to compute it, and where the share's weights live.
public struct PartPlan {
    public let backend: any Backend
    public let share: ModelShare
    public let residency: Residency
    /// The most bytes that are brought to the backend's memory at once, where the way there is to take little
    /// memory; nil brings each segment whole, which is faster.
    public let mostFill: Int?

    /// Precondition: `residency` was made for the share, and is whole where the backend's memory is not the
    /// host's.
    public init(_ share: ModelShare, _ residency: Residency, on backend: any Backend, mostFill: Int? = nil) {
        self.backend = backend
        self.share = share
        self.residency = residency
        self.mostFill = mostFill
    }
}
