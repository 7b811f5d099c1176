# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of the test bed, built from their Go modules and packed as upstream packs them."""
