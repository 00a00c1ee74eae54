"""The table of the properties sync: Cupid's fields under Cupid's names.

`address`, `checkin` and the lists are kept as JSON, in the one form that all equal values have: what is empty is left
out, and a list whose order means nothing is sorted. The views `property_reviews` and `property_translations` show two
of them as rows.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Computed, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from syncapp.models.base import Base, Synced, Versioned
from syncapp.records import Json


class Property(Versioned, Synced, Base):
    """`extra` has what the source sends beside the fields that it is known to have."""

    __tablename__ = "properties"
    __table_args__ = (
        UniqueConstraint("organization_id", "external_id"),
        UniqueConstraint("property_id"),
        Index("ix_properties_live", "organization_id", "sync_status", postgresql_where=text("deleted_at IS NULL")),
    )

    property_id: Mapped[int] = mapped_column(BigInteger, Computed("external_id::bigint", persisted=True))
    cupid_id: Mapped[int | None] = mapped_column(BigInteger)
    hotel_name: Mapped[str | None]
    hotel_type: Mapped[str | None]
    hotel_type_id: Mapped[int | None] = mapped_column(BigInteger)
    chain: Mapped[str | None]
    chain_id: Mapped[int | None] = mapped_column(BigInteger)
    latitude: Mapped[float | None] = mapped_column(Numeric)
    longitude: Mapped[float | None] = mapped_column(Numeric)
    stars: Mapped[float | None] = mapped_column(Numeric)
    rating: Mapped[float | None] = mapped_column(Numeric)
    review_count: Mapped[int | None] = mapped_column(BigInteger)
    airport_code: Mapped[str | None]
    phone: Mapped[str | None]
    fax: Mapped[str | None]
    email: Mapped[str | None]
    address: Mapped[Json | None]
    checkin: Mapped[Json | None]
    parking: Mapped[str | None]
    group_room_min: Mapped[int | None] = mapped_column(BigInteger)
    child_allowed: Mapped[bool | None]
    pets_allowed: Mapped[bool | None]
    main_image_th: Mapped[str | None]
    description: Mapped[str | None]
    markdown_description: Mapped[str | None]
    important_info: Mapped[str | None]
    photos: Mapped[Json | None]
    facilities: Mapped[Json | None]
    policies: Mapped[Json | None]
    rooms: Mapped[Json | None]
    reviews: Mapped[Json | None]
    translations: Mapped[Json | None]
    extra: Mapped[Json | None]
    last_synced: Mapped[datetime | None] = mapped_column(Computed("last_synced_at", persisted=True), sort_order=95)
