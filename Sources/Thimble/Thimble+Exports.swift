//! Types of other modules that this library's signatures name: who imports Thimble has them too.

@_exported public import struct Documents.PageSettings
@_exported public import struct Documents.RGBImage
@_exported public import enum Memory.ProcessMemory
@_exported public import struct Memory.Budget
@_exported public import struct Memory.BudgetError
@_exported public import struct Memory.ByteSize
@_exported public import struct Memory.LedgerEntry
@_exported public import struct Memory.LedgerLimits
@_exported public import struct Memory.MachineProfile
@_exported public import struct Memory.MachineRates
@_exported public import struct Memory.Plan
@_exported public import struct Memory.PlanPrediction
@_exported public import struct ModelFile.ModelDescription
@_exported public import struct SessionFiles.SessionClaim
@_exported public import struct SessionFiles.SpillSettings
@_exported public import struct Tensors.DispatchTime
@_exported public import enum Tensors.KVType
@_exported public import enum Tensors.MemoryPlace
