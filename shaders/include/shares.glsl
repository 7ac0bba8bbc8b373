//! Who does which share of a dispatch whose stages wait for all shares of the one before.
//
// A workgroup claims the share of its number when it starts. A device that several programs use may stop
// starting a dispatch's workgroups until those that run have ended; those would wait for ever for what the
// others have not begun. So where shares are nobody's when the first stage could begin, who runs takes them
// over, and who starts later finds its share claimed and ends.

const uint NO_SHARE = ~0u;

// Whether this is the first to claim a share.
bool claim_share(uint64_t claims, uint share) {
    uint bit = 1u << share % 32;
    if ((atomicOr(Links(claims + 8 * (1 + share / 32)).at[0], bit) & bit) != 0) return false;
    atomicAdd(Links(claims).at[0], 1);
    return true;
}

// Claims a share that is nobody's; NO_SHARE where there is none left.
uint claim_any_share(uint64_t claims, uint count) {
    for (uint share = 0; share < count; ++share) {
        uint claimed = atomicLoad(Links(claims + 8 * (1 + share / 32)).at[0], gl_ScopeDevice, 0, 0);
        if ((claimed >> share % 32 & 1) == 0 && claim_share(claims, share)) return share;
    }
    return NO_SHARE;
}
