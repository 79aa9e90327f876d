"""Object stores: folders such as s3://BUCKET/FOLDER, with a copy of each on this machine."""

from records.stores.folder import Moved, StoredFolder, is_address

__all__ = ["Moved", "StoredFolder", "is_address"]
