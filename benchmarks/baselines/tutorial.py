"""A notes service as good tutorials write it: FastAPI, SQLAlchemy 2 on asyncpg, PyJWT, pydantic.

A baseline of :mod:`benchmarks.throughput`. The token names the user by e-mail address, the user is
read by it, then their notes; each request has a session of its own, and answers are pydantic models
read off the rows. ``DATABASE_URL`` names the database;
``python -m benchmarks.baselines.tutorial`` makes the tables.
"""

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import bcrypt
import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, String, Text, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET_KEY = "4f0c1e6a9d5b47d2a8f3c6b1e0d9725886ab34cf0e1d7295"
ALGORITHM = "HS256"
ACCESS_TOKEN_LIFETIME = dt.timedelta(days=1)  # longer than any benchmark
POOL_SIZE = 8
PAGE = 20

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgres://", "postgresql+asyncpg://", 1),
    pool_size=POOL_SIZE,
    max_overflow=0,
)
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI(title="Notes")
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="auth/login")


def now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


class Base(DeclarativeBase):
    """The tables."""


class User(Base):
    """A person with an account."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True, index=True)
    hashed_password: Mapped[str] = mapped_column(String(60))
    is_active: Mapped[bool] = mapped_column(default=True)


class Note(Base):
    """A text with a title."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    content: Mapped[str] = mapped_column(Text, default="")
    category: Mapped[str] = mapped_column(String(200), default="")
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), default=now)


class Token(BaseModel):
    """An access token."""

    access_token: str
    token_type: str = "bearer"


class NoteWrite(BaseModel):
    """A note as it is written."""

    title: str = Field(max_length=200)
    content: str = ""
    category: str = Field(default="", max_length=200)


class NoteRead(BaseModel):
    """A note as it is read."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    owner_id: int
    title: str
    content: str
    category: str
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yield the session of a request."""
    async with new_session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


async def get_user(session: AsyncSession, email: str) -> User | None:
    """Return the user with an address."""
    return (await session.execute(select(User).where(User.email == email))).scalar_one_or_none()


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)], session: Session) -> User:
    """Return whom a token was given to; raises 401."""
    refusal = HTTPException(
        status.HTTP_401_UNAUTHORIZED,
        "Could not validate credentials",
        headers={"WWW-Authenticate": "Bearer"},
    )
    try:
        email = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM]).get("sub")
    except jwt.InvalidTokenError:
        raise refusal from None
    user = await get_user(session, email) if email else None
    if user is None or not user.is_active:
        raise refusal
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


async def get_note(note_id: int, user: CurrentUser, session: Session) -> Note:
    """Return a note of the user; raises 404."""
    own = select(Note).where(Note.id == note_id, Note.owner_id == user.id)
    note = (await session.execute(own)).scalar_one_or_none()
    if note is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Note not found")
    return note


OwnNote = Annotated[Note, Depends(get_note)]


@app.post("/auth/login")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()], session: Session) -> Token:
    """Log in."""
    user = await get_user(session, form.username)
    is_right = user is not None and await run_in_threadpool(
        bcrypt.checkpw, form.password.encode(), user.hashed_password.encode()
    )
    if user is None or not is_right or not user.is_active:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED,
            "Incorrect username or password",
            headers={"WWW-Authenticate": "Bearer"},
        )
    claims = {"sub": user.email, "exp": now() + ACCESS_TOKEN_LIFETIME}
    return Token(access_token=jwt.encode(claims, SECRET_KEY, algorithm=ALGORITHM))


@app.get("/notes", response_model=list[NoteRead])
async def list_notes(user: CurrentUser, session: Session, search: str = "") -> Sequence[Note]:
    """List the user's notes, the last edited first, or those that contain a text."""
    found = select(Note).where(Note.owner_id == user.id)
    if search:
        found = found.where(
            or_(
                Note.title.icontains(search, autoescape=True),
                Note.content.icontains(search, autoescape=True),
            )
        )
    page = found.order_by(Note.updated_at.desc()).limit(PAGE)
    return (await session.execute(page)).scalars().all()


@app.get("/notes/{note_id}", response_model=NoteRead)
async def read_note(note: OwnNote) -> Note:
    """Read a note."""
    return note


@app.post("/notes", response_model=NoteRead, status_code=status.HTTP_201_CREATED)
async def create_note(given: NoteWrite, user: CurrentUser, session: Session) -> Note:
    """Write a new note."""
    note = Note(owner_id=user.id, **given.model_dump())
    session.add(note)
    await session.commit()
    return note


@app.put("/notes/{note_id}", response_model=NoteRead)
async def update_note(given: NoteWrite, note: OwnNote, session: Session) -> Note:
    """Replace a note."""
    for name, value in given.model_dump().items():
        setattr(note, name, value)
    note.version += 1
    note.updated_at = now()
    await session.commit()
    return note


async def make_tables() -> None:
    """Make the tables in an empty database."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(make_tables())
